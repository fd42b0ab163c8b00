# Two stages: the first builds the one file, the second holds it unpacked and nothing else.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY build build
COPY proxy proxy
RUN python3 build/run.py --build-only

FROM python:3.12-slim
# What is kept is in /data, so that one volume holds it. Hosts that pick a user's number at random put
# that user into the group of root.
RUN useradd --system --home-dir /data --shell /usr/sbin/nologin pointsman \
    && install --directory --owner=pointsman --group=root --mode=770 /data
WORKDIR /app
COPY --from=build /src/dist/pointsman.pyz pointsman.pyz
COPY build/railway_start.sh build/railway_start.sh
# Unpacked here, once, by root: the server cannot change its own program, and a start unpacks nothing.
ENV SHIV_ROOT=/app/unpacked \
    POINTSMAN=/app/pointsman.pyz \
    HOME=/data \
    XDG_STATE_HOME=/data/state \
    AUTH_DIR_NAME=/data/auths \
    PORT=8080 \
    PYTHONDONTWRITEBYTECODE=1
RUN chmod 755 build/railway_start.sh && python3 pointsman.pyz help >/dev/null
USER pointsman
EXPOSE 8080
# Not urllib.request, which would ask a proxy that the environment names.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python3", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["/bin/sh", "build/railway_start.sh"]
