"""SQS, ECS and the errors of AWS."""
