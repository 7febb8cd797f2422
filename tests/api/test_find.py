# SPDX-License-Identifier: AGPL-3.0-or-later
"""system.userSearch, system.getNames, system.getCustomize: what the RPC tells of people and of the site."""
import uuid

import pytest

from harness.process import wait_until
from harness.store import add_user, execute

MISSING = "12345678-1234-4234-8234-123456789012"


def word(length=12):
    return "".join("abcdefghijklmnop"[int(digit, 16)] for digit in uuid.uuid4().hex[:length])


def find(hub, account, query, **parameters):
    return hub.method(account, "system.userSearch", {"query": query, **parameters})


def ids(found):
    return [entry["account_id"] for entry in found]


def person(hub, first=None, last=None, **columns):
    made = hub.account(first_name=first or word(), last_name=last or word())
    for column, value in columns.items():
        execute(hub, f"UPDATE accounts SET {column} = ? WHERE account_id = ?", value, made.id)
    return made


# ---- By name ----

def test_parts_of_names(hub, account):
    one, two = word(), word()
    made = person(hub, one.capitalize(), two.upper())
    for query in (one, two, one[3:9], two[5:], f"{two[1:]} {one[2:]}", f"  {one[4:]}\n", f"{one}\t{one[1:]} {two}"):
        assert ids(find(hub, account, query)) == [made.id], query
    for query in (one + "x", f"{one} {two}x", f"{one}{two}", "%" + one, one[:3] + "_" + one[4:], "!" + one):
        assert find(hub, account, query) == [], query


def test_what_an_entry_says(hub, account):
    one = word()
    made = person(hub, one, "Lovelace", last_active=1_600_000_000_000, created=1_500_000_000_000)
    assert find(hub, account, one) == [{
        "account_id": made.id, "first_name": one, "last_name": "Lovelace", "name": None, "last_active": 1_600_000_000_000,
        "created": 1_500_000_000_000, "email_address_verified": None}]


def test_letters_of_any_alphabet(hub, account):
    one = word()
    made = person(hub, f"{one}\u00c4\u0416")
    assert ids(find(hub, account, f"{one[5:]}\u00e4\u0436".upper())) == [made.id]


def test_user_names(hub, account):
    name = word()
    made = person(hub, name=f"N-{name}")
    for query in (f"@n-{name}", f"@N-{name.upper()}", name[3:], f"{name} {name[1:]}"):
        assert ids(find(hub, account, query)) == [made.id], query
    assert find(hub, account, f"@{name}") == []


def test_several_parts(hub, account):
    one, two = person(hub), person(hub)
    names = [hub.method(account, "system.getNames", [made.id])[made.id]["first_name"] for made in (one, two)]
    for separator in (",", ";", "\n", " , ;"):
        assert set(ids(find(hub, account, separator.join(names)))) == {one.id, two.id}


def test_who_is_not_found_by_name(hub, account):
    one = word()
    deleted, unlisted = person(hub, one), person(hub, one)
    hub.call("query", key=unlisted, query={"accounts": {"unlisted": True}})
    hub.cli("account", "delete", deleted.id)
    assert find(hub, account, one) == []
    assert ids(find(hub, account, unlisted.id)) == ids(find(hub, account, unlisted.email)) == [unlisted.id]
    assert find(hub, account, deleted.id) == []


def test_order_and_limits(hub, account):
    """The most recently active first; who never was counts by the day of the account."""
    one = word()
    made = [person(hub, one, created=1000 + 10 * i) for i in range(3)]
    active = person(hub, one, created=1, last_active=1015)
    found = find(hub, account, one)
    assert ids(found) == [made[2].id, active.id, made[1].id, made[0].id]
    assert find(hub, account, one, limit=0) == find(hub, account, one, limit=-1) == []


def test_how_many(hub, account):
    one = word()
    for _ in range(55):
        person(hub, one)
    assert [len(find(hub, account, one, **limit)) for limit in ({}, {"limit": 7}, {"limit": 1000})] == [20, 7, 50]
    administrator = hub.account(admin=True)
    assert len(find(hub, administrator, one, admin=True, limit=1000)) == 55


def test_too_many_words(hub, account):
    """Each is looked for in all names. Addresses are none."""
    administrator = hub.account(admin=True)
    for caller, most, admin in ((account, 8, False), (administrator, 8, False), (administrator, 32, True)):
        for between in (" ", ", "):
            words = [word() for _ in range(most)]
            assert find(hub, caller, between.join(words), admin=admin) == []
            assert hub.refusal(caller, "system.userSearch", {"query": between.join([*words, "a"]), "admin": admin}) == (
                f"Error: search for at most {most} names")
    assert find(hub, account, ", ".join([*(word() for _ in range(8)), "no@body.example"])) == []


def test_words_that_are_longer_than_any_name(hub, account):
    """Neither is compared with anything, nor does it stop the search for others."""
    made = person(hub)
    name = hub.method(made, "system.getNames", [made.id])[made.id]["first_name"]
    for caller, admin in ((account, False), (hub.account(admin=True), True)):
        for long in ("x" * 60_000, "%" * 60_000, "x" * 60_000 + " " + name, "é" * 10_000 + "@example.org"):
            assert find(hub, caller, long, admin=admin) == []
            assert ids(find(hub, caller, f"{long},{name}", admin=admin)) == [made.id]
    assert hub.refusal(account, "system.userSearch", {"query": "a@b.c " * 10_001}) == "Error: search for at most 10000 words"


# ---- By address and id ----

def test_addresses(hub, account):
    made, other = person(hub), person(hub)
    (entry,) = find(hub, account, f" {made.email.upper()} ")
    assert entry["account_id"] == made.id and entry["email_address"] == made.email
    found = find(hub, account, f"Some Body <{made.email}>, {other.email}; no@body.example")
    assert set(ids(found)) == {made.id, other.id} and all("email_address" in entry for entry in found)
    assert find(hub, account, made.email[:-1]) == [] and find(hub, account, "no@body.example") == []


@pytest.mark.parametrize("record, verified", [(None, None), ("{}", False), ('{"ADDRESS": "2020-01-01T00:00:00.000Z"}', True)])
def test_verified_addresses(hub, account, record, verified):
    made = person(hub)
    execute(hub, "UPDATE accounts SET email_address_verified = ? WHERE account_id = ?",
            record and record.replace("ADDRESS", made.email), made.id)
    assert find(hub, account, made.id)[0]["email_address_verified"] is verified


def test_ids(hub, account):
    made = person(hub)
    (entry,) = find(hub, account, made.id.upper())
    assert entry["account_id"] == made.id and "email_address" not in entry
    assert find(hub, account, MISSING) == []


def test_only_addresses(hub, account):
    one = word()
    made = person(hub, one)
    assert ids(find(hub, account, f"{one}, {made.email}", only_email=True)) == [made.id]
    assert find(hub, account, one, only_email=True) == []


# ---- Administrators ----

def test_administrators(hub, account, project):
    administrator, one = hub.account(admin=True), word()
    made = person(hub, one, unlisted=1)
    hub.cli("account", "ban", made.id)
    for query in (one, one[3:], made.email[2:-2], made.email, made.id):
        (entry,) = find(hub, administrator, query, admin=True)
        assert (entry["account_id"], entry["email_address"], entry["banned"]) == (made.id, made.email, True), query
    add_user(hub, project, made, "collaborator")
    assert set(ids(find(hub, administrator, project, admin=True))) == {account.id, made.id}
    assert find(hub, administrator, project) == []
    assert hub.refusal(account, "system.userSearch", {"query": one, "admin": True}) == (
        "Error: Must be an admin to do admin search.")


# ---- getNames ----

def test_names(hub, account):
    ada = person(hub, " Ada ", "L")
    nobody = person(hub, first_name=None, last_name=" ")
    half = person(hub, first_name=None, last_name="Half")
    execute(hub, "UPDATE accounts SET profile = ? WHERE account_id = ?", '{"color":"red","image":"i","other":1}', ada.id)
    gone = person(hub)
    hub.cli("account", "delete", gone.id)
    deleted = {"first_name": "Deleted", "last_name": "User"}
    assert hub.method(account, "system.getNames", [ada.id, nobody.id, half.id, gone.id, MISSING, ada.id]) == {
        ada.id: {"first_name": "Ada", "last_name": "L", "profile": {"color": "red", "image": "i"}},
        nobody.id: {"first_name": "No", "last_name": "Name", "profile": None},
        half.id: {"first_name": "", "last_name": "Half", "profile": None},
        gone.id: deleted, MISSING: deleted}


def test_many_names(hub, account):
    wanted = [str(uuid.uuid4()) for _ in range(5000)] + [account.id]
    names = hub.method(account, "system.getNames", wanted)
    assert list(names) == wanted and names[account.id]["last_name"] == "Lovelace"


@pytest.mark.parametrize("arguments", [["x"], [MISSING, ""]])
def test_an_id_that_is_none(hub, account, arguments):
    assert hub.refusal(account, "system.getNames", arguments) == (
        f'error: invalid input syntax for type uuid: "{arguments[-1]}"')


# ---- getCustomize ----

def test_customize(hub_factory):
    hub = hub_factory()
    account, administrator = hub.account(), hub.account(admin=True)
    for name, value in (("site_name", "Ours"), ("site_description", "d"), ("terms_of_service_url", "http://t"),
                        ("email_signup", "no")):
        hub.call("query", key=administrator, query={"site_settings": {"name": name, "value": value}})
    # What was set is read anew a moment after it was acknowledged.
    wait_until(lambda: not hub.method(account, "system.getCustomize")["emailSignup"], 60, "the last of the settings counts")
    site = hub.method(account, "system.getCustomize")
    assert site.items() >= {"siteName": "Ours", "siteDescription": "d", "termsOfServiceURL": "http://t",
                            "jupyterApiEnabled": False, "emailSignup": False, "anonymousSignup": False,
                            "isCommercial": False, "kucalc": "no", "siteURL": hub.url}.items()
    assert hub.method(account, "system.getCustomize", ["dns", "nothing"]) == {"dns": hub.url.partition("://")[2]}
    assert hub.method(account, "system.getCustomize", []) == {}
