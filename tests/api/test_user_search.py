# SPDX-License-Identifier: AGPL-3.0-or-later
"""user_search: by names through the index, by addresses, and by administrators."""
import random
import time
import uuid

import pytest

from harness.process import wait_until
from harness.store import execute, execute_many

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("user_search")]  # its fixtures have thousands of accounts

DAY_MS = 24 * 3600 * 1000
NOW_MS = int(time.time() * 1000)  # never compared with a time of the hub's closer than a day


def search(hub, query, key=..., **parameters):
    reply = hub.call("user_search", key=key, query=query, id="mine", **parameters)
    assert reply.pop("event") == "user_search_results" and reply.pop("id") == "mine", reply
    assert set(reply) == {"results"}
    return reply["results"]


def names(results):
    return [" ".join(result[name] or "" for name in ("first_name", "last_name")).strip() for result in results]


def refused(hub, key=..., **parameters):
    reply = hub.call("user_search", key=key, **parameters)
    assert reply["event"] == "error", reply
    return reply["error"]


def unique():
    """The beginning of a name that no other test uses, of letters; without vowels, so that it holds no part of a word."""
    return "q" + "".join(random.SystemRandom().choices("bcdfghjklmnpqrstvwxz", k=9))


def person(hub, first=None, last=None, key=...):
    """A new account; each from a network address of its own, from which only so many may be made."""
    parameters = {name: text for name, text in (("first_name", first), ("last_name", last)) if text is not None}
    headers = {"X-Forwarded-For": f"2001:db8:{random.SystemRandom().randrange(1 << 16):x}::1"}
    return hub.api("create_account", key=key, json=parameters, headers=headers).json()["account_id"]


# ---- Names ----

def test_the_beginning_of_either_name(hub):
    me = unique()
    expected = [person(hub, f"{me}anna", "Zimmer"), person(hub, "Berta", f"{me.upper()}xyz"), person(hub, me, me)]
    person(hub, f"x{me}", f"y{me}")
    person(hub, f"a {me}")  # only the beginning of the whole name counts
    found = search(hub, me)
    assert {result["account_id"] for result in found} == set(expected) and len(found) == 3
    assert names(found) == [f"Berta {me.upper()}xyz", f"{me} {me}", f"{me}anna Zimmer"]  # in the order of names
    for result in found:
        assert set(result) == {"account_id", "first_name", "last_name", "last_active", "created"}
        assert result["last_active"] is None and result["created"].endswith("Z")
    assert names(search(hub, f"  {me.upper()}AN  ")) == [f"{me}anna Zimmer"]
    assert search(hub, me + "zz") == []


def test_several_words(hub):
    me, it = unique(), unique()
    person(hub, f"{me}foo", f"{it}bar")
    person(hub, f"{it}bar123", f"{me}fooxyz")
    person(hub, f"X{me}foo", f"Y{it}bar")
    person(hub, f"{me}foo", "other")
    person(hub, f"{me}foo{it}bar")
    both = [f"{it}bar123 {me}fooxyz", f"{me}foo {it}bar"]
    for query in (f"{me}f {it}b", f"{it}bar {me}foo", f"{me} {it}", f"{me}foo {it}", f"{me}  {it}bar {me}f", f"{it}\t{me}f"):
        assert sorted(names(search(hub, query))) == sorted(both), query
    assert names(search(hub, f"{it}bar1 {me}")) == both[:1]
    assert names(search(hub, f"{me} {me}f")) == sorted(names(search(hub, me)))
    for query in (f"{me} {it} zzz", f"{me}foo {me}fox", f"{me}x {it}"):
        assert search(hub, query) == [], query


def test_a_name_of_several_words(hub):
    me = unique()
    person(hub, f"{me} Anna Maria", "van der Berg")
    assert names(search(hub, f"{me} van")) == [f"{me} Anna Maria van der Berg"]
    assert search(hub, f"{me} anna") == [] and search(hub, f"{me} berg") == []


def test_any_script(hub):
    me = unique()
    person(hub, f"Ö{me}", "Müller")
    person(hub, "Жуков", f"Ж{me}")
    person(hub, f"李{me}", "\U00010400" + me)
    assert names(search(hub, f"ö{me}")) == names(search(hub, f"Ö{me} MÜL")) == [f"Ö{me} Müller"]
    assert names(search(hub, f"ж{me}")) == ["Жуков " + f"Ж{me}"]
    assert names(search(hub, f"李{me} \U00010428")) == [f"李{me} \U00010400{me}"]


def test_order_is_by_utf16_units(hub):
    me = unique()
    for tail in ("\uffe6", "\U0001f600", "z", "", "Z2"):
        person(hub, me + tail)
    assert names(search(hub, me)) == [me, me + "z", me + "Z2", me + "\U0001f600", me + "\uffe6"]


@pytest.mark.parametrize("template", ["%", "_", "\\", "'", '"', "*", "[a-z]", "\U0001f600"])
def test_characters_that_are_not_special(hub, template):
    me = unique()
    person(hub, f"{me}{template}x")
    person(hub, f"{me}ax")
    assert names(search(hub, me + template)) == [f"{me}{template}x"]


@pytest.mark.parametrize("query", ["", " ", ",;\n", 7, ["a"], {"a": 1}, False, "\t , ;"])
def test_a_query_of_nothing(hub, query):
    assert search(hub, query) == []


def test_items_are_alternatives(hub):
    one, two, three = unique(), unique(), unique()
    person(hub, one), person(hub, two), person(hub, f"{one}x", f"{three}y")
    expected = sorted([one, two, f"{one}x {three}y"])
    for separator in (",", ";", "\n", " ,\r\n; "):
        assert names(search(hub, separator.join([one, two, three]))) == expected


def test_long_names(hub):
    me = unique()
    long = me + "é" * 100
    person(hub, long + "a", long + "b")
    person(hub, long + "c", long + "d")
    assert names(search(hub, long)) == [f"{long}a {long}b", f"{long}c {long}d"]
    assert names(search(hub, f"{long}d {long}c")) == [f"{long}c {long}d"]
    assert names(search(hub, f"{long}b")) == [f"{long}a {long}b"]
    assert search(hub, f"{long}a {long}d") == []


# ---- Many of one name: the index has rows for longer beginnings ----

@pytest.fixture(scope="module")
def crowd(_session_hub):
    """150 people of one beginning, of 10 first and 15 last names: {(first, last): account_id}."""
    hub, me = _session_hub, unique()
    key = hub.account().key
    return me, {(f"{me}f{first}", f"{me}l{chr(97 + last)}z"): person(hub, f"{me}F{first}", f"{me}L{chr(97 + last)}z", key)
                for first in range(10) for last in range(15)}


def test_every_beginning_finds_whom_it_should(hub, crowd):
    me, people = crowd
    rows = execute(hub, "SELECT count(*) FROM account_search_splits WHERE prefix LIKE ?", f"{me}%")
    assert rows[0][0] > 2  # so that the rest tests what it means to
    words = {name[:size] for pair in people for name in pair for size in range(len(me) - 1, len(name) + 1)}
    for word in sorted(words) + [f"{me}f10", f"{me}la0", f"{me}m"]:
        expected = {account for pair, account in people.items() if any(name.startswith(word) for name in pair)}
        found = {result["account_id"] for result in search(hub, word, limit=50)}
        assert found <= expected and len(found) == min(50, len(expected)), word


def test_every_pair_finds_whom_it_should(hub, crowd):
    me, people = crowd
    for one, two in ((f"{me}f", f"{me}la"), (f"{me}f1", f"{me}l"), (f"{me}lcz", f"{me}f3"), (f"{me}f3", f"{me}lcz"),
                     (f"{me}", f"{me}f7"), (f"{me}f", f"{me}l"), (f"{me}l", f"{me}f"), (f"{me}f5", f"{me}f5"),
                     (f"{me}f1", f"{me}f2"), (f"{me}l", f"{me}la"), (me[:3], f"{me}lo"), (f"{me}lo", me[:5] + "x")):
        def fits(pair):
            return any(a.startswith(one) and b.startswith(two) for a, b in (pair, pair[::-1])) or \
                any(a.startswith(one) and a.startswith(two) for a in pair)
        expected = {account for pair, account in people.items() if fits(pair)}
        found = {result["account_id"] for result in search(hub, f"{one} {two}", limit=50)}
        assert found <= expected and len(found) == min(50, len(expected)), (one, two)


def test_the_index_holds_what_it_should(hub, crowd):
    """Row by row, as svc/account_index.h says: for each key of an account, its prefixes as far as they are split."""
    me, people = crowd
    splits = {prefix for prefix, in execute(hub, "SELECT prefix FROM account_search_splits")}
    expected = set()
    for pair, account in people.items():
        [(number, recency)] = execute(hub, "SELECT id, recency FROM account_names WHERE account_id = ?", account)
        first, last = pair
        width = max(len(first), len(last))
        woven = " " + "".join(a + b for a, b in zip(first.ljust(width), last.ljust(width)))
        for key, start in ((first, 1), (last, 1), (woven, 2)):
            for size in range(start, min(len(key), 24 + (start - 1)) + 1):
                expected.add((key[:size], recency, number))
                if key[:size] not in splits:
                    break
    ids = {number for _, _, number in expected}
    stored = {row for row in execute(hub, "SELECT prefix, recency, id FROM account_search") if row[2] in ids}
    assert stored == expected


def test_unsplit_prefixes_are_short(hub, crowd):
    assert execute(hub, "SELECT prefix, count(*) FROM account_search WHERE prefix NOT IN (SELECT prefix FROM account_search_splits)"
                        " AND length(prefix) < 24 GROUP BY prefix HAVING count(*) > 33") == []


# ---- Who is taken when there are more ----

def active(hub, account_id, days_ago):
    """As if the account had been active then; the index learns of it as of any change."""
    execute(hub, "UPDATE accounts SET last_active = ?, searchable = 0 WHERE account_id = ?",
            None if days_ago is None else NOW_MS - days_ago * DAY_MS, account_id)


def created(hub, account_id, days_ago):
    execute(hub, "UPDATE accounts SET created = ?, searchable = 0 WHERE account_id = ?", NOW_MS - days_ago * DAY_MS, account_id)


def indexed(hub):
    """Started anew, a hub puts into its index what is not there."""
    hub.restart()
    wait_until(lambda: not execute(hub, "SELECT 1 FROM accounts WHERE searchable = 0 AND deleted = 0"), 60, "all is in the index")
    return hub


@pytest.fixture(scope="module")
def ages(tmp_path_factory):
    """A hub with people who were active some days ago, or never and made some days ago; a, b, c … in that order."""
    from harness.hub import Hub
    hub = Hub(tmp_path_factory.mktemp("ages") / "data")
    hub.start()
    people = [person(hub, f"Ages{chr(97 + number)}", "Xylander") for number in range(8)]
    for account, days in zip(people, (2, 20, 50, 400)):
        active(hub, account, days)
        created(hub, account, 800)
    for account, days in zip(people[4:], (3, 21, 51, 401)):
        created(hub, account, days)
    indexed(hub)
    yield hub
    hub.end()


@pytest.mark.parametrize("limit, expected", [(1, "a"), (3, "abc"), (5, "abcde"), (7, "abcdefg"), (8, "abcdefgh"), (0, ""), (2.9, "ab"),
                                             ("2", "ab"), (50, "abcdefgh"), (1e300, "abcdefgh"), (None, "abcdefgh")])
def test_limit_takes_who_was_active_last(ages, limit, expected):
    for query in ("ages", "AG xyl", "ages, agesa, xyl ages"):
        assert "".join(name[4] for name in names(search(ages, query, limit=limit))) == expected


@pytest.mark.parametrize("span, expected", [
    ("10 days", "ae"), ("1 month", "abef"), ("2 weeks 2 weeks", "abef"), ("2 months", "abcefg"), ("1 year 3 days", "abcefg"),
    ("2 years", "abcdefgh"), ("6 months", "abcefg"), ("", "abcdefgh"), ("1 hour", ""), ("-1 day", ""), ("60 DAYS", "abcefg"),
])
def test_active(ages, span, expected):
    for query in ("ages", "ages xyl"):
        assert "".join(name[4] for name in names(search(ages, query, active=span))) == expected


def test_active_and_limit(ages):
    assert "".join(name[4] for name in names(search(ages, "ages", active="1 month", limit=3))) == "abe"
    assert [name[4] for name in names(search(ages, "ages", active="6 months", limit=4))] == list("abce")


@pytest.mark.parametrize("span", ["nonsense", "6 moons", "days", "1 day x", "'; DROP TABLE accounts"])
def test_active_malformed(hub, span):
    assert refused(hub, query="a", active=span) == f'invalid input syntax for type interval: "{span}"'


def test_limit_malformed(hub):
    assert refused(hub, query="a", limit=-1) == "limit must not be negative"
    assert hub.api("user_search", json={"query": "a", "limit": "many"}).status_code == 400


def test_limits_by_default_and_at_most(hub, crowd):
    me, _ = crowd
    assert len(search(hub, me)) == 20 and len(search(hub, me, limit=1000)) == 50
    assert len(search(hub, f"{me}f1, {me}f2, {me}f3, {me}f4, {me}f5", limit=60)) == 50


# ---- What changes the index ----

def test_who_makes_calls_comes_first(hub):
    me = unique()
    people = [hub.account(first_name=f"{me}{letter}") for letter in "abc"]
    search(hub, "x", key=people[1])  # marks the caller as active
    wait_until(lambda: execute(hub, "SELECT last_active FROM accounts WHERE account_id = ?", people[1].id)[0][0], 60, "it is noted")
    [first] = search(hub, me, limit=1)
    assert first["account_id"] == people[1].id and first["last_active"].endswith("Z")
    assert len(search(hub, me)) == 3


def test_deleted_and_banned(hub):
    me = unique()
    deleted, banned = (hub.account(first_name=me, last_name=name) for name in ("Deleted", "Banned"))
    hub.cli("account", "ban", banned.id)
    hub.cli("account", "delete", deleted.id)
    assert names(search(hub, me)) == names(search(hub, f"{me} b")) == [f"{me} Banned"]
    assert search(hub, f"{deleted.email}, {me} del") == []
    assert execute(hub, "SELECT 1 FROM account_names WHERE account_id = ?", deleted.id) == []


def test_what_is_missing_is_put_into_the_index_at_the_start(hub_factory):
    hub = hub_factory()
    before, rows = hub.account(first_name="Before", last_name="Byron").id, []
    for number in range(1200):  # more than one transaction's worth
        rows.append((str(uuid.uuid4()), f"Extra{number}", "Önan" if number % 2 else None, NOW_MS, number == 7, number == 8))
    execute_many(hub, "INSERT INTO accounts (account_id, first_name, last_name, created, unlisted, deleted)"
                 " VALUES (?, ?, ?, ?, ?, ?)", [(*row[:4], int(row[4]), int(row[5])) for row in rows])
    execute(hub, "UPDATE accounts SET first_name = 'Afterwards', searchable = 0 WHERE account_id = ?", before)
    indexed(hub)
    assert names(search(hub, "extra499")) == ["Extra499 Önan"] and len(search(hub, "ön ext", limit=50)) == 50
    assert "Extra7 Önan" not in names(search(hub, "extra7", limit=50)) and "Extra8" not in names(search(hub, "extra8", limit=50))
    assert names(search(hub, "afterw")) == ["Afterwards Byron"] and search(hub, "before") == []
    assert execute(hub, "SELECT count(*) FROM account_names")[0][0] == len(execute(
        hub, "SELECT 1 FROM accounts WHERE deleted = 0 AND unlisted = 0"))


# ---- Addresses ----

def test_by_address(hub):
    email = f"{uuid.uuid4()}@example.org"
    account = hub.account(email, first_name="Ada", last_name="Lovelace").id
    [found] = search(hub, email.upper())
    assert (found["account_id"], found["first_name"], found["last_name"], found["email_address"]) == (
        account, "Ada", "Lovelace", email)
    assert set(found) == {"account_id", "first_name", "last_name", "last_active", "created", "email_address",
                          "email_address_verified"} and found["email_address_verified"] is None
    execute(hub, "UPDATE accounts SET email_address_verified = ? WHERE account_id = ?", f'{{"{email}":"2020-01-01T00:00:00.000Z"}}',
            account)
    assert search(hub, email)[0]["email_address_verified"] == {email: "2020-01-01T00:00:00.000Z"}
    for query in (f"Ada Lovelace <{email}>", f"{email}, {email.upper()}", f"x@ {email} @", f"<{email}>;nobody@example.org"):
        assert [result["account_id"] for result in search(hub, query)] == [account], query
    for query in (email[1:], f"x{email}", email.replace("@", "%"), email.replace("example", "_xample")):
        assert search(hub, query) == [], query


def test_addresses_are_beyond_limit_and_active(hub):
    accounts = [hub.account() for _ in range(3)]
    found = search(hub, " ".join(account.email for account in accounts), limit=1, active="1 second")
    assert {result["account_id"] for result in found} == {account.id for account in accounts}


def test_names_do_not_tell_addresses(hub):
    me = unique()
    account = hub.account(f"{uuid.uuid4()}@example.org", first_name=me)
    assert "email_address" not in search(hub, me)[0]
    both = search(hub, f"{me},{account.email}")
    assert [result["account_id"] for result in both] == [account.id] * 2
    assert sorted("email_address" in result for result in both) == [False, True]
    assert search(hub, account.email.split("@")[0]) == []


def test_a_list_that_is_too_long(hub):
    limit = "search for at most 1000 names or addresses"
    addresses = [f"nobody{number}@example.org" for number in range(1001)]
    assert search(hub, ",".join(addresses[:1000])) == search(hub, " ".join(addresses[:1000])) == []
    for separator in (",", "\n", " "):
        assert refused(hub, query=separator.join(addresses)) == limit
    assert refused(hub, query="a," * 1001) == limit
    assert search(hub, "ab " * 10_000, limit=1) is not None
    for query in ("ab " * 10_001, "ab, " + "a b;" * 5_000):
        assert refused(hub, query=query).startswith("search for at most")


# ---- Administrators ----

@pytest.fixture(scope="module")
def admin(_session_hub):
    return _session_hub.account(admin=True)


def test_admin_is_for_administrators(hub, account, admin):
    wanted = "must be logged in and a member of the admin group"
    assert refused(hub, key=account, query="a", admin=True) == wanted
    assert refused(hub, key=account, query="", admin="true") == wanted
    for no in (False, "false", "0", ""):
        assert search(hub, unique(), key=account, admin=no) == []


def test_admin_finds_any_part(hub, admin):
    me = unique()
    email = f"x{me}y@example.org"
    one = hub.account(email, first_name="Some", last_name="Body").id
    two = person(hub, f"pre{me.upper()}post", None)
    found = search(hub, me, key=admin, admin=True)
    assert [result["account_id"] for result in found] == [two, one]  # pre… before Some
    assert found[1] == {"account_id": one, "first_name": "Some", "last_name": "Body", "created": found[1]["created"],
                        "email_address": email, "banned": False}
    assert set(found[0]) == {"account_id", "first_name", "created", "banned"}  # what is not set is left out
    for query, expected in ((f"{me}y@exam om", [one]), (f"OD {me}", [one]), (f"{me}post,zzz{me}", [two]), (f"{me}%", []),
                            (f"{me} nothing", [])):
        assert [result["account_id"] for result in search(hub, query, key=admin, admin=True)] == expected, query
    hub.cli("account", "ban", one)
    assert [result["banned"] for result in search(hub, me, key=admin, admin=True, active="nonsense")] == [False, True]
    hub.cli("account", "delete", two)
    assert [result["account_id"] for result in search(hub, me, key=admin, admin=True)] == [one]


def test_admin_finds_one_account(hub, admin):
    account = hub.account(first_name="Ada", last_name="Byron")
    entry = search(hub, account.id, key=admin, admin=True)
    assert entry == search(hub, f"  {account.email.upper()}\n", key=admin, admin=True)
    assert [(found["account_id"], found["email_address"]) for found in entry] == [(account.id, account.email)]
    assert search(hub, str(uuid.uuid4()), key=admin, admin=True) == search(hub, f"{uuid.uuid4()}@x.org", key=admin, admin=True) == []
    hub.cli("account", "delete", account.id)
    [deleted] = search(hub, account.id.upper(), key=admin, admin=True)
    assert set(deleted) == {"account_id", "first_name", "last_name", "created", "banned"}
    assert search(hub, account.email, key=admin, admin=True) == []
    assert search(hub, account.id) == []  # not so for everybody


def test_admin_limits(hub, admin, crowd):
    me, _ = crowd
    assert [len(search(hub, me[1:], key=admin, admin=True, **limit)) for limit in ({}, {"limit": 120}, {"limit": 0})] == [20, 120, 0]
    assert refused(hub, key=admin, query="a", admin=True, limit=-5) == "limit must not be negative"


def test_nobody_searches(hub):
    assert hub.api("user_search", json={"query": "a"}, key="").json() == {"error": "No account found. Is your API key wrong?"}
