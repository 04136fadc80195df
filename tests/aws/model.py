"""Notes which members of the EC2 model the tests send and receive, and with which codes they are refused."""

sent, received, refusals = set(), set(), set()


def _paths(shape, value, prefix):
    """The members a value fills, as `Operation.Member.Member`; lists add nothing to a path."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in value:
                path = f"{prefix}.{name}"
                yield path
                yield from _paths(member, value[name], path)
    elif shape.type_name == "list":
        for item in value:
            yield from _paths(shape.member, item, prefix)


def _members(shape, prefix):
    """All members there are."""
    if shape is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            path = f"{prefix}.{name}"
            yield path
            yield from _members(member, path)
    elif shape.type_name == "list":
        yield from _members(shape.member, prefix)


def watch(client):
    """Notes what goes through a client from now on."""

    def before(params, model, **_):
        sent.update(_paths(model.input_shape, params, model.name))

    def after(parsed, model, **_):
        if "Error" in parsed:
            refusals.add(parsed["Error"]["Code"])
        elif model.output_shape is not None:
            received.update(_paths(model.output_shape, parsed, model.name))

    client.meta.events.register("provide-client-params.ec2", before)
    client.meta.events.register("after-call.ec2", after)


def inputs(client, operation):
    return set(_members(client.meta.service_model.operation_model(operation).input_shape, operation))


def outputs(client, operation):
    return set(_members(client.meta.service_model.operation_model(operation).output_shape, operation))
