"""``koppel.yaml``: what it becomes, what it refuses, and that no secret stands in it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from koppel.config import (
    DESCRIPTIONS,
    BrakeSettings,
    Ownership,
    Secret,
    config_schema,
    find_config,
    load_config,
    write_config,
)
from koppel.errors import ConfigError

SOUND = """\
business_central:
  url: https://api.businesscentral.dynamics.com/v2.0/t/Production/
  company: CRONUS
  auth: {tenant: t, client_id: c, client_secret: {env: KOPPEL_TEST_SECRET}}
dataverse:
  url: https://contoso.crm4.dynamics.com
  auth: {tenant: t, client_id: c, client_secret: {file: secret.txt}}
"""


def written(folder: Path, text: str = SOUND) -> Path:
    path = folder / "koppel.yaml"
    path.write_text(text, "utf-8")
    return path


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(written(folder, text))
    return str(caught.value).replace(f"{folder}/", "")


def test_what_a_file_becomes(tmp_path: Path) -> None:
    config = load_config(written(tmp_path))
    assert config.business_central.url == "https://api.businesscentral.dynamics.com/v2.0/t/Production"
    assert config.business_central.route == "koppel/sync/v1.0"
    assert config.business_central.auth.authority == "https://login.microsoftonline.com"
    assert config.dataverse.auth.client_secret == Secret(file=tmp_path / "secret.txt")
    assert config.database is None
    assert config.brakes == BrakeSettings(deletions=50, changes_percent=30)


MORE_USERS = "  more_users:\n    - {client_id: d, client_secret: {file: more.txt}}\n"


def test_more_users_share_the_work(tmp_path: Path) -> None:
    (user,) = load_config(written(tmp_path, SOUND + MORE_USERS)).dataverse.more_users
    assert (user.client_id, user.client_secret) == ("d", Secret(file=tmp_path / "more.txt"))


def test_a_user_counts_once(tmp_path: Path) -> None:
    assert mistake(tmp_path, SOUND + MORE_USERS.replace("id: d", "id: c")) == (
        "koppel.yaml:9: this user is there already\n  Leave it out: each counts once."
    )


def test_paths_belong_to_the_file(tmp_path: Path) -> None:
    text = SOUND + "folder: data\nmappings: [own, /etc/koppel/mappings]\n"
    config = load_config(written(tmp_path, text))
    assert config.folder == tmp_path / "data"
    assert config.mappings == (tmp_path / "own", Path("/etc/koppel/mappings"))


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPPEL_TEST_SECRET", "s3cret")
    assert Secret(env="KOPPEL_TEST_SECRET").value() == "s3cret"
    monkeypatch.setenv("KOPPEL_TEST_SECRET", "")
    with pytest.raises(ConfigError, match=r"environment variable KOPPEL_TEST_SECRET: there is no secret\n  Set KOPPEL"):
        Secret(env="KOPPEL_TEST_SECRET").value()


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    with pytest.raises(ConfigError, match=r"secret\.txt: the secret cannot be read: No such file"):
        Secret(file=path).value()
    path.write_text(" s3cret \r\n", "utf-8")
    assert Secret(file=path).value() == " s3cret "
    path.write_text("\n", "utf-8")
    with pytest.raises(ConfigError, match="there is no secret"):
        Secret(file=path).value()


@pytest.mark.parametrize("written_as", ["s3cret-value", "{env: s3cret-value}", "{text: s3cret-value}"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, written_as: str) -> None:
    said = mistake(tmp_path, SOUND.replace("{file: secret.txt}", written_as))
    assert "koppel.yaml:7: " in said
    assert "s3cret" not in said


def test_the_remedy_for_a_secret_in_the_file(tmp_path: Path) -> None:
    assert mistake(tmp_path, SOUND.replace("{file: secret.txt}", "s3cret")) == (
        "koppel.yaml:7: `client_secret` must have the keys `env`, `file`, not text\n"
        "  A secret has no place in this file: write {env: NAME} or {file: PATH}."
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("company", "compny", "3: unknown key `compny`\n  Did you mean `company`?"),
        ("  company: CRONUS\n", "", "2: key `company` is missing\n  Add `company: ...` here."),
        ("CRONUS", '" "', "3: the company is blank"),
        ("{env: KOPPEL_TEST_SECRET}", "{}", "4: a secret is in an environment variable or in a file"),
        ("{env: KOPPEL_TEST_SECRET}", "{env: A, file: b}", "4: a secret is in an environment variable or in a file"),
        ("https://contoso", "http://contoso", "6: the address must start with https://"),
        ("https://contoso", "contoso", "6: `contoso.crm4.dynamics.com` is no web address"),
        ("dynamics.com\n", "dynamics.com/api/data/v9.2\n", "6: the address must be the root of the environment"),
        ("dataverse:", "database: mysql://host/db\ndataverse:", "5: the database must be PostgreSQL"),
        (
            "dataverse:",
            "database: postgresql://a:pw@host/db\ndataverse:",
            "5: the address holds a password\n  Leave it",
        ),
        ("dataverse:", "database: postgresql://h/db?password=pw\ndataverse:", "5: the address holds a password"),
        ("dataverse:", "brakes: {deletions: -1}\ndataverse:", "5: `deletions` cannot be negative"),
        ("dataverse:", "brakes: {changes_percent: 101}\ndataverse:", "5: `changes_percent` must be from 0 to 100"),
        ("dataverse:", "brakes: {deletions: many}\ndataverse:", "5: `deletions` must be a number, not text"),
        ("dataverse:", "brakes: {deletions: 050}\ndataverse:", "5: `deletions` cannot be `050`\n  Write the number in"),
        ("dataverse:", "mappings: own\ndataverse:", "5: `mappings` must be a list, not text"),
        ("dataverse:", "mappings: [1]\ndataverse:", "5: YAML reads `1` as a number\n  For the text, put it in quotes"),
        ("dataverse:", "- dataverse:", "5:1: this is not YAML: "),
    ],
)
def test_mistakes_name_line_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SOUND
    assert f"koppel.yaml:{said}" in mistake(tmp_path, SOUND.replace(old, new, 1))


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = SOUND.replace("CRONUS", '""').replace("https://contoso", "http://contoso") + "database: sqlite:///x\n"
    found = [line for line in mistake(tmp_path, text).split("\n") if not line.startswith("  ")]
    assert [line.split(":")[1] for line in found] == ["3", "6", "8"]


def test_plain_http_is_for_this_machine(tmp_path: Path) -> None:
    text = SOUND.replace("https://contoso.crm4.dynamics.com", "http://127.0.0.1:8650/dataverse/")
    assert load_config(written(tmp_path, text)).dataverse.url == "http://127.0.0.1:8650/dataverse"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"koppel\.yaml:1: the file cannot be read: No such file"):
        load_config(tmp_path / "koppel.yaml")


def test_finding_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KOPPEL_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=r"^there is no koppel\.yaml\n  Write one with `koppel init`\.$"):
        find_config()
    written(tmp_path)
    assert find_config() == Path("koppel.yaml")
    monkeypatch.setenv("KOPPEL_CONFIG", "other.yaml")
    with pytest.raises(ConfigError, match=r"environment variable KOPPEL_CONFIG: there is no other\.yaml"):
        find_config()


def test_the_file_to_start_from_is_sound_and_commented(tmp_path: Path) -> None:
    path = tmp_path / "koppel.yaml"
    write_config(path, company='My "Company" & Söhne: #1', ca_file=Path("ca.pem"))
    config = load_config(path)
    assert config.business_central.company == 'My "Company" & Söhne: #1'
    assert config.dataverse.ca_file == tmp_path / "ca.pem"
    assert config.dataverse.auth.client_secret == Secret(env="KOPPEL_CLIENT_SECRET")
    assert (config.database, config.mappings, config.brakes) == (None, (), BrakeSettings())
    assert path.read_text("utf-8").count("\n# ") + path.read_text("utf-8").count("\n  # ") > 8
    assert (tmp_path / ".koppel" / "koppel.schema.json").is_file()


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(ConfigError, match="the file exists already"):
        write_config(path)
    assert path.read_text("utf-8") == SOUND


def test_the_schema_takes_the_file_and_knows_its_keys(tmp_path: Path) -> None:
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    path = tmp_path / "koppel.yaml"
    write_config(path)
    for text in (SOUND, path.read_text("utf-8")):
        jsonschema.validate(yaml.safe_load(text), schema)
    for broken in (SOUND.replace("company", "compny"), SOUND.replace("{file: secret.txt}", "s3cret")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(broken), schema)
    keys = {f"{name}.{key}" for name, shape in schema["$defs"].items() for key in shape["properties"]}
    assert keys == set(DESCRIPTIONS)


def test_teams_that_own(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, SOUND + "company_stamp: all\nownership: {model: team, team: Sales}\n"))
    assert config.company_stamp == "all"
    assert config.ownership == Ownership(model="team", team="Sales", unsound="warn")
    assert "the team is blank" in mistake(tmp_path, SOUND + "ownership: {team: ' '}\n")
