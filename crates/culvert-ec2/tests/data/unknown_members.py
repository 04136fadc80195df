#!/usr/bin/env python3
"""Compares answers with the model of EC2 that botocore has.

Standard input is a JSON list of [action, answer]. Prints the paths of elements that the model doesn't know, and the
actions of whose answer botocore's own parser finds nothing.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree

import botocore.parsers
import botocore.session

NAMESPACE = "{http://ec2.amazonaws.com/doc/2016-11-15/}"


def unknown(element, shape, path):
    """Paths below an element that its shape has no member for."""
    if shape.type_name == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for child in element:
            name = child.tag.removeprefix(NAMESPACE)
            if name not in members:
                yield f"{path}/{name}"
            else:
                yield from unknown(child, members[name], f"{path}/{name}")
    elif shape.type_name == "list":
        for child in element:
            name = child.tag.removeprefix(NAMESPACE)
            if name != shape.member.serialization.get("name", "member"):
                yield f"{path}/{name}"
            else:
                yield from unknown(child, shape.member, f"{path}/{name}")
    elif len(element):
        yield f"{path} has children"


model = botocore.session.get_session().get_service_model("ec2")
parser = botocore.parsers.create_parser(model.protocol)
found = {"unknown": [], "unparsed": []}
for action, answer in json.load(sys.stdin):
    shape = model.operation_model(action).output_shape
    if shape is None:
        # The model has no output for the actions about tags.
        continue
    root = ElementTree.fromstring(answer)
    root.remove(root.find(f"{NAMESPACE}requestId"))
    found["unknown"].extend(unknown(root, shape, action))
    parsed = parser.parse({"status_code": 200, "headers": {}, "body": answer.encode()}, shape)
    if not any(parsed[name] not in (None, [], {}) for name in parsed if name != "ResponseMetadata"):
        found["unparsed"].append(action)
json.dump(found, sys.stdout)
