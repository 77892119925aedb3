"""A function without any platform: ConfigMap, Deployment, Service, HorizontalPodAutoscaler, PodDisruptionBudget."""

MOUNT = "/kubeless"
# Nothing that a function needs is forbidden by it, and everything else is.
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def probe(path: str, **more: int) -> dict:
    return {"httpGet": {"path": path, "port": "http-function-port"}, "timeoutSeconds": 3} | more


PROBES = {
    # The function is loaded before readiness; a minute is for slow imports.
    "startupProbe": probe("/readyz", periodSeconds=1, failureThreshold=60),
    "readinessProbe": probe("/readyz", periodSeconds=5, failureThreshold=2),
    "livenessProbe": probe("/healthz", periodSeconds=10, failureThreshold=3),
}


def all_of(table: dict, runtime: dict, function: dict, files: dict[str, str]) -> list[dict]:
    name = name_of(runtime, function)
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "funchost"}
    selector = {"app.kubernetes.io/name": name}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": files},
        deployment(table, runtime, function, name, labels, selector),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "selector": selector,
                "ports": [{"name": "http-function-port", "port": 8080, "targetPort": "http-function-port"}],
            },
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
                "minReplicas": table["scaling"]["least"],
                "maxReplicas": table["scaling"]["most"],
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": table["scaling"]["cpu_percent"]},
                        },
                    }
                ],
            },
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name, "labels": labels},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
        },
    ]


def name_of(runtime: dict, function: dict) -> str:
    return f"{function['module']}-{runtime['language']}"


def deployment(table: dict, runtime: dict, function: dict, name: str, labels: dict, selector: dict) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            # How many there are is the HorizontalPodAutoscaler's.
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/path": "/metrics",
                        "prometheus.io/port": "8080",
                    },
                },
                "spec": pod(table, runtime, function, name),
            },
        },
    }


def pod(table: dict, runtime: dict, function: dict, name: str) -> dict:
    return {
        "automountServiceAccountToken": False,
        # DRAIN_DELAY and SHUTDOWN_TIMEOUT fit into it.
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": init_containers(table, runtime, function),
        "containers": [
            {
                "name": "function",
                "image": f"{table['registry']}/{runtime['language']}:{runtime['tag']}",
                "ports": [{"name": "http-function-port", "containerPort": 8080}],
                "env": variables(function)
                + [
                    {"name": "FUNC_RUNTIME", "value": runtime["id"] + runtime["version"]},
                    {
                        "name": "FUNC_MEMORY_LIMIT",
                        "valueFrom": {"resourceFieldRef": {"containerName": "function", "resource": "limits.memory"}},
                    },
                ],
                "resources": table["resources"],
                **PROBES,
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": "function", "mountPath": MOUNT, "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }
        ],
        "volumes": [
            {"name": "source", "configMap": {"name": name}},
            {"name": "function", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def variables(function: dict) -> list[dict]:
    return [
        {"name": "MOD_NAME", "value": function["module"]},
        {"name": "FUNC_HANDLER", "value": function["handler"]},
    ]


def init_containers(table: dict, runtime: dict, function: dict) -> list[dict]:
    """What Kubeless would run before the function: prepare, install, compile."""
    steps = {"prepare": f"cp -L /src/* {MOUNT}/", "install": runtime.get("install"), "compile": runtime.get("compile")}
    settings = {
        "KUBELESS_INSTALL_VOLUME": MOUNT,
        "KUBELESS_DEPS_FILE": f"{MOUNT}/{runtime['deps']}",
        "KUBELESS_FUNC_NAME": function["handler"],
    } | runtime.get("build", {})
    return [
        {
            "name": step,
            "image": f"{table['registry']}/{runtime['language']}-builder:{runtime['tag']}",
            "command": ["sh", "-c", command],
            "workingDir": MOUNT,
            "env": [{"name": name, "value": value} for name, value in settings.items()],
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [
                {"name": "source", "mountPath": "/src", "readOnly": True},
                {"name": "function", "mountPath": MOUNT},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }
        for step, command in steps.items()
        if command
    ]
