# In the place of LocalStack's image: the same version from its Python package, in the same folders.
FROM octospoon-base
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends curl && rm -rf /var/lib/apt/lists/*
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_CERT
COPY infra/requirements/localstack.txt /tmp/requirements.txt
RUN python3 -m venv /opt/code/localstack/.venv && /opt/code/localstack/.venv/bin/python -m pip install --no-cache-dir \
        --no-deps --require-hashes -r /tmp/requirements.txt \
    && mkdir -p /var/lib/localstack /usr/lib/localstack && touch /usr/lib/localstack/.community-version
