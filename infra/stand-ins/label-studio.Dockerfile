# In the place of Label Studio's image: the same version from its Python package, under the same user and folder.
FROM octospoon-base
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_CERT
COPY infra/requirements/label-studio.txt /tmp/requirements.txt
RUN python3 -m venv /opt/label-studio && /opt/label-studio/bin/python -m pip install --no-cache-dir --no-deps \
        --require-hashes -r /tmp/requirements.txt \
    && mkdir -p /label-studio/data && chown 1001:0 /label-studio/data
ENV PATH=/opt/label-studio/bin:$PATH HOME=/label-studio LABEL_STUDIO_BASE_DATA_DIR=/label-studio/data
USER 1001
CMD ["label-studio", "start", "--no-browser", "--internal-host", "0.0.0.0", "--port", "8080"]
