# Our own image: sets the ELK stack up, and runs the demo's services. Compose builds it.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE}

# What a one-shot says is in its log in the order in which it says it.
ENV PYTHONUNBUFFERED=1
WORKDIR /project
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY elasticsearch elasticsearch
COPY ilm_policies ilm_policies
COPY kibana kibana
COPY python_shipper python_shipper
RUN pip install --no-cache-dir --constraint constraints.txt '.[demo]'
COPY examples examples

USER 1000:0
ENTRYPOINT ["shipper"]
