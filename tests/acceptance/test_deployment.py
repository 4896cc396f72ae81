from pathlib import Path

from batchml.executors.slurm_script import default_template

ROOT = Path(__file__).parents[2]


def test_the_template_to_copy_is_the_one_that_is_used():
    assert (ROOT / "deploy/slurm/slurm.sh.jinja").read_text(encoding="utf-8") == default_template()


def test_what_could_not_be_tried_says_so():
    for name in ("Dockerfile", "compose.yaml"):
        assert "Untested" in (ROOT / "deploy/compose" / name).read_text(encoding="utf-8")
    assert "**untested**" in (ROOT / "deploy/README.md").read_text(encoding="utf-8")
