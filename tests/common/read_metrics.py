"""Reads the figures of a daemon with a parser of OpenMetrics that is not ours.

usage: read_metrics.py URL
"""

import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def main():
    with urllib.request.urlopen(sys.argv[1]) as response:
        text = response.read().decode()
    families = list(text_string_to_metric_families(text))
    if len(families) < 15:
        sys.exit(f"only {len(families)} families")
    for family in families:
        if not family.documentation.endswith("."):
            sys.exit(f"{family.name} has no sentence: {family.documentation!r}")
        figures = [(sample.name, sorted(sample.labels.items())) for sample in family.samples]
        for figure in figures:
            if figures.count(figure) > 1:
                sys.exit(f"{figure} stands there twice")


main()
