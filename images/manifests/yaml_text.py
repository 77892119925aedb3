"""YAML as people write it: keys in the order that they were given, texts of several lines as blocks."""

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)

HEAD = "# Made by `make manifests` of table.toml; changes belong there.\n"


def documents(objects: list[dict]) -> str:
    """A file of these objects."""
    dumped = (yaml.dump(item, Dumper=_Dumper, sort_keys=False, width=110) for item in objects)
    return HEAD + "---\n".join(dumped)
