"""The ConfigMap from which Kubeless learns its runtimes."""

import json


def config_map(table: dict) -> dict:
    """`runtime-images` names the images of every phase; `provision-image` the one that unpacks functions."""
    languages = {}
    for row in table["runtime"]:
        language = languages.setdefault(
            row["id"],
            {
                "ID": row["id"],
                "versions": [],
                "livenessProbeInfo": {
                    "httpGet": {"path": "/healthz", "port": 8080},
                    "initialDelaySeconds": 3,
                    "periodSeconds": 10,
                    "timeoutSeconds": 5,
                },
                "depName": row["deps"],
                "fileNameSuffix": row["suffix"],
            },
        )
        language["versions"].append(
            {"name": row["id"] + row["version"].replace(".", ""), "version": row["version"], "images": phases(table, row)}
        )
    runtime_images = json.dumps(list(languages.values()), indent=2) + "\n"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kubeless-config", "namespace": "kubeless"},
        "data": {
            "provision-image": f"{table['registry']}/python-builder:{table['runtime'][0]['tag']}",
            "builder-image-secret": "",
            "enable-build-step": "false",
            "function-registry-tls-verify": "true",
            "ingress-enabled": "false",
            "service-type": "ClusterIP",
            "runtime-images": runtime_images,
        },
    }


def phases(table: dict, row: dict) -> list[dict]:
    """Which image runs which command, in the order of a function's life."""
    builder = f"{table['registry']}/{row['language']}-builder:{row['tag']}"
    found = []
    for phase, command in (("installation", row.get("install")), ("compilation", row.get("compile"))):
        if command:
            build = {"env": row["build"]} if "build" in row else {}
            found.append({"phase": phase, "image": builder, "command": command} | build)
    runtime = {"env": row["runtime"]} if "runtime" in row else {}
    found.append({"phase": "runtime", "image": f"{table['registry']}/{row['language']}:{row['tag']}"} | runtime)
    return found
