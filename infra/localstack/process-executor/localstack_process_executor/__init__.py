"""A LocalStack plug-in for machines without Docker.

- `LAMBDA_RUNTIME_EXECUTOR=process` runs each Lambda execution environment as a process, with AWS's
  `awslambdaric`.
- `PROVIDER_OVERRIDE_DYNAMODB=moto` and `PROVIDER_OVERRIDE_DYNAMODBSTREAMS=moto` use moto instead of the Java
  download.
- moto also answers for ECS and ECR, which the open LocalStack lacks. No task runs.
"""
