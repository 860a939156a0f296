import no_such_thing  # noqa: F401

x = 1
