"""Says what is wrong with templates of SAM, by what SAM makes of them: `template.py TEMPLATE…`."""

import json
import sys

import cfnlint
from cfnlint.decode import cfn_yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform


class NoPolicies:
    """Names of managed policies, which the templates do without."""

    def load(self):
        return {}


def plain(value):
    """Without the places that the linter's reader keeps."""
    return json.loads(json.dumps(value))


def problems(path):
    template = cfn_yaml.load(path)
    # What `sam deploy` uploads.
    template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/key"
    try:
        made = transform(plain(template), {}, NoPolicies())
    except InvalidDocumentException as error:
        return [cause.message for cause in error.causes]
    config = cfnlint.ManualArgs(regions=["eu-central-1"])
    return [str(match) for match in cfnlint.lint(json.dumps(plain(made)), config=config)]


for path in sys.argv[1:]:
    for problem in problems(path):
        sys.stdout.write(f"{path}: {problem}\n")
