"""A Grafana dashboard for the metrics that every host has."""

# Title, unit, and what is drawn: query and legend. Two panels make a row.
PANELS = [
    ("Calls per second", "reqps", [("sum by (method) (rate(function_calls_total{%s}[$__rate_interval]))", "{{method}}")]),
    (
        "Share of calls that failed",
        "percentunit",
        [
            (
                "sum(rate(function_failures_total{%s}[$__rate_interval]))"
                " / sum(rate(function_calls_total{%s}[$__rate_interval]))",
                "failed",
            )
        ],
    ),
    (
        "Duration of calls",
        "s",
        [
            (
                f"histogram_quantile({quantile}, sum by (le) (rate(function_duration_seconds_bucket{{%s}}[$__rate_interval])))",
                f"p{round(quantile * 100)}",
            )
            for quantile in (0.5, 0.95, 0.99)
        ],
    ),
    (
        "Time in the queue",
        "s",
        [
            (
                "histogram_quantile(0.99,"
                " sum by (le) (rate(funchost_queue_wait_seconds_bucket{%s}[$__rate_interval])))",
                "p99",
            )
        ],
    ),
    (
        "Calls now",
        "short",
        [
            ("sum(funchost_calls_in_flight{%s})", "running"),
            ("sum(funchost_queue_length{%s})", "waiting"),
            ("sum(funchost_calls_stuck{%s})", "stuck"),
        ],
    ),
    (
        "Requests refused",
        "reqps",
        [("sum by (reason) (rate(funchost_rejected_total{%s}[$__rate_interval]))", "{{reason}}")],
    ),
    (
        "Calls cancelled",
        "reqps",
        [("sum by (reason) (rate(funchost_cancelled_total{%s}[$__rate_interval]))", "{{reason}}")],
    ),
    (
        "Worker processes",
        "short",
        [
            ("sum(funchost_workers{%s})", "ready"),
            ("sum(funchost_workers_busy{%s})", "busy"),
            ("sum by (cause) (increase(funchost_worker_exits_total{%s}[$__rate_interval]))", "ended: {{cause}}"),
        ],
    ),
    (
        "Memory of the server",
        "bytes",
        [("process_resident_memory_bytes{%s}", "{{pod}}")],
    ),
    (
        "Processors in use",
        "short",
        [
            ("sum(rate(process_cpu_seconds_total{%s}[$__rate_interval]))", "server"),
            ("sum(rate(funchost_cpu_seconds_total{%s}[$__rate_interval]))", "calls in workers"),
        ],
    ),
    ("Connections", "short", [("sum(funchost_connections{%s})", "open")]),
    ("Time until the function was loaded", "s", [("funchost_cold_start_seconds{%s}", "{{pod}}")]),
    (
        "Errors that no answer carried",
        "short",
        [("sum(increase(funchost_stray_failures_total{%s}[$__rate_interval]))", "errors")],
    ),
    (
        "Log lines dropped",
        "short",
        [("sum(increase(funchost_log_lines_dropped_total{%s}[$__rate_interval]))", "lines")],
    ),
]

# Which function is looked at; the labels are those that Kubernetes' service discovery usually gives.
CHOSEN = 'namespace=~"$namespace", pod=~"$pod"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict:
    return {
        "title": "funchost functions",
        "uid": "funchost-functions",
        "tags": ["funchost"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                label("namespace", "label_values(funchost_build_info, namespace)"),
                label("pod", 'label_values(funchost_build_info{namespace=~"$namespace"}, pod)'),
            ]
        },
        "panels": [panel(index, *row) for index, row in enumerate(PANELS)],
    }


def label(name: str, query: str) -> dict:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def panel(index: int, title: str, unit: str, queries: list[tuple[str, str]]) -> dict:
    return {
        "id": index + 1,
        "title": title,
        "type": "timeseries",
        "datasource": SOURCE,
        "gridPos": {"x": index % 2 * 12, "y": index // 2 * 8, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query.replace("%s", CHOSEN), "legendFormat": legend}
            for place, (query, legend) in enumerate(queries)
        ],
    }
