"""A function with a dependency: `requirements.txt` is installed into the mount, where it is found."""

from tabulate import tabulate


def handler(event, context):
    rows = event['data'] or [{'planet': 'Earth', 'moons': 1}, {'planet': 'Mars', 'moons': 2}]
    return tabulate(rows, headers='keys', tablefmt='github') + '\n'
