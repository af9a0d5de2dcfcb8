"""The dashboards as code: `python -m monitoring` writes those in monitoring/grafana/dashboards/."""
