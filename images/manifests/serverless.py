"""Functions on Knative and on OpenFunction: both serve images that hold their function (see examples/custom-image)."""

import workload


def image(table: dict, runtime: dict, function: dict) -> str:
    return f"{table['registry']}/{workload.name_of(runtime, function)}:1"


def container(table: dict, runtime: dict, function: dict) -> dict:
    return {
        "image": image(table, runtime, function),
        "env": workload.variables(function),
        "resources": table["resources"],
        "securityContext": {
            **workload.CONTAINER_SECURITY,
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def knative(table: dict, runtime: dict, function: dict) -> dict:
    """Knative tells the port by PORT, and its proxy waits for readiness."""
    served = container(table, runtime, function) | {
        "readinessProbe": {"httpGet": {"path": "/readyz"}},
        "livenessProbe": {"httpGet": {"path": "/healthz"}, "periodSeconds": 10, "timeoutSeconds": 3},
        # With prior knowledge, both HTTP/1.1 and HTTP/2 would do.
        "ports": [{"name": "http1", "containerPort": 8080}],
    }
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": workload.name_of(runtime, function)},
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {
                        "autoscaling.knative.dev/min-scale": "0",
                        "autoscaling.knative.dev/max-scale": str(table["scaling"]["most"]),
                        "prometheus.io/scrape": "true",
                        "prometheus.io/path": "/metrics",
                        "prometheus.io/port": "8080",
                    }
                },
                "spec": {
                    # The proxy gives up a moment after the host has, whose answer says more.
                    "timeoutSeconds": 185,
                    "containerConcurrency": 0,
                    "containers": [served],
                },
            }
        },
    }


def openfunction(table: dict, runtime: dict, function: dict) -> dict:
    served = {"name": "function", "imagePullPolicy": "IfNotPresent"} | container(table, runtime, function)
    # Named once, by the Function itself.
    del served["image"]
    return {
        "apiVersion": "core.openfunction.io/v1beta2",
        "kind": "Function",
        "metadata": {"name": workload.name_of(runtime, function)},
        "spec": {
            "version": "v1.0.0",
            "image": image(table, runtime, function),
            "serving": {
                "triggers": {"http": {"port": 8080}},
                "scaleOptions": {"minReplicas": 0, "maxReplicas": table["scaling"]["most"]},
                "template": {"containers": [served]},
            },
        },
    }
