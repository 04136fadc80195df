#!/usr/bin/env python3
"""Prints, for each action in the JSON list on standard input, the form of a request with every member the model has."""

import json
import sys

import botocore.serialize
import botocore.session


def value(shape):
    """Something for each member."""
    if shape.type_name == "structure":
        return {name: value(member) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [value(shape.member)]
    if shape.type_name == "boolean":
        return False
    if shape.type_name in ("integer", "long"):
        return 8
    enum = getattr(shape, "enum", None)
    return enum[0] if enum else "x"


model = botocore.session.get_session().get_service_model("ec2")
serializer = botocore.serialize.create_serializer(model.protocol, include_validation=False)
forms = {}
for action in json.load(sys.stdin):
    operation = model.operation_model(action)
    body = serializer.serialize_to_request(value(operation.input_shape), operation)["body"]
    forms[action] = {name: str(text) for name, text in body.items()}
json.dump(forms, sys.stdout)
