#!/usr/bin/env python3
"""Parses answers as boto3 and the AWS CLI do, and prints what they make of them as a JSON list.

Standard input is a JSON list of [service, operation, HTTP status, answer].
"""

import json
import sys

import botocore.parsers
import botocore.session

session = botocore.session.get_session()
models = {}
parsed = []
for service, operation, status, answer in json.load(sys.stdin):
    if service not in models:
        models[service] = session.get_service_model(service)
    model = models[service]
    shape = model.operation_model(operation).output_shape
    response = {"status_code": status, "headers": {}, "body": answer.encode()}
    parsed.append(botocore.parsers.create_parser(model.protocol).parse(response, shape))
json.dump(parsed, sys.stdout, default=lambda time: time.isoformat())
