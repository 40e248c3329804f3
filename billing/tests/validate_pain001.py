"""Validates pain.001.001.09 files against the XSD of sepaxml: validate_pain001.py FILE...

Exit code 0: all are valid. 1: one is not. 3: a package is missing.
"""

import pathlib
import sys

try:
    import lxml.etree as etree
    import sepaxml
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(3)

SCHEMA = pathlib.Path(sepaxml.__file__).parent / "schemas" / "pain.001.001.09.xsd"


def main(files):
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    valid = True
    for file in files:
        if not schema.validate(etree.parse(file)):
            valid = False
            print(file, schema.error_log, sep="\n", file=sys.stderr)
    return 0 if valid and files else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
