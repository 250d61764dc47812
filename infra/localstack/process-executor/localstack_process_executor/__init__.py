"""A LocalStack plug-in for machines without Docker.

`LAMBDA_RUNTIME_EXECUTOR=process` runs each Lambda execution environment as a process, with AWS's own
`awslambdaric`; `PROVIDER_OVERRIDE_DYNAMODB=moto` and `PROVIDER_OVERRIDE_DYNAMODBSTREAMS=moto` replace the
Java download by moto; ECS and ECR, which the open LocalStack lacks, are answered by moto too (no task
runs).
"""
