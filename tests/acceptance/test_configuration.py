import pytest

from batchml.cli.settings import DEFAULT_REGISTRY, load
from batchml.errors import ConfigError


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config/batchml"
    folder.mkdir(parents=True)
    return folder


def test_without_files_and_environment_the_defaults_hold(user_folder, tmp_path):
    settings = load(tmp_path, {})
    assert settings.registry == DEFAULT_REGISTRY
    assert settings.files == ()


def test_the_folder_wins_over_the_user_and_the_environment_over_both(user_folder, tmp_path):
    (user_folder / "batchml.toml").write_text(
        'registry = "sqlite:///u.db"\ntrusted_modules = ["a"]\n'
        '[executor]\nslots = 3\nworkers = 2\n[sources]\nx = "u"\ny = "u"'
    )
    (tmp_path / "batchml.toml").write_text(
        'registry = "sqlite:///f.db"\ntrusted_modules = ["b"]\n[executor]\nslots = 5\n[sources]\ny = "f"'
    )
    settings = load(tmp_path, {"BATCHML_TRUSTED_MODULES": "c, a"})
    assert settings.registry == "sqlite:///f.db"
    assert settings.trusted_modules == ("a", "b", "c")
    assert settings.executor == {"slots": 5, "workers": 2}
    assert settings.sources == {"x": "u", "y": "f"}
    assert load(tmp_path, {"BATCHML_REGISTRY": "sqlite:///e.db"}).registry == "sqlite:///e.db"


def test_the_number_of_processors_can_be_configured_and_the_environment_overrules_it(user_folder, tmp_path):
    (user_folder / "batchml.toml").write_text("cpus = 3")
    assert load(tmp_path, {}).cpus == 3
    (tmp_path / "batchml.toml").write_text("cpus = 0")
    with pytest.raises(ConfigError, match="at least 1"):
        load(tmp_path, {})
