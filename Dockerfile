# Two stages: the first builds the one file, the second holds it unpacked and nothing else.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY build build
COPY proxy proxy
RUN python3 build/run.py --build-only

FROM python:3.12-slim
RUN useradd --system --create-home --home-dir /home/pointsman --shell /usr/sbin/nologin pointsman
WORKDIR /app
COPY --from=build /src/dist/pointsman.pyz pointsman.pyz
COPY build/railway_start.sh build/railway_start.sh
# Unpacked here, once, by root: the server cannot change its own program, and a start unpacks nothing.
ENV SHIV_ROOT=/app/unpacked \
    POINTSMAN=/app/pointsman.pyz \
    AUTH_DIR_NAME=/home/pointsman/auths \
    PORT=8080 \
    PYTHONDONTWRITEBYTECODE=1
RUN python3 pointsman.pyz help >/dev/null
USER pointsman
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
ENTRYPOINT ["/bin/sh", "build/railway_start.sh"]
