"""Every module can be imported on its own."""

from importlib import import_module

from tests.test_layers import modules


def test_every_module_can_be_imported():
    for module in modules():
        if not module.endswith("__main__"):
            import_module(module)
