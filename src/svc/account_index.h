// SPDX-License-Identifier: AGPL-3.0-or-later
// The index by which accounts are found by the beginnings of their names.
//
// An account has up to three keys: the first word of its lower-cased first name, that of its last
// name, and both interleaved, a letter of each in turn, behind a space. For each key the table
// account_search has a row for its first letter, and for its first two, three, … as long as the
// prefix before is split: one that more than LIMIT_SEARCH_BUCKET accounts have. The rows of a
// prefix lie in the order in which the accounts were last active. So whatever is searched, few rows
// are read: either the prefix has rows of its own, and the first of them are the answer; or a
// shorter one is not split, and all its few rows are looked at. Two terms are a prefix of the
// interleaved key.
//
// account_names has the whole lower-cased names. Accounts that are not in the index yet (made by an
// earlier version, or by other programs) are put there by the hub in the background.
#ifndef SVC_ACCOUNT_INDEX_H
#define SVC_ACCOUNT_INDEX_H

#include "base/limits.h"
#include "svc/svc.h"

// In a transaction: puts the account into the index as its row in `accounts` is now, in place of
// what the index had. Deleted and unlisted accounts are taken out.
int account_index_put(struct db_session *txn, const struct uuid *account_id,
                      struct err *err) MUST_USE;
int account_index_remove(struct db_session *txn, const struct uuid *account_id,
                         struct err *err) MUST_USE;
// In a transaction: the account was active at that time.
int account_index_touch(struct db_session *txn, const struct uuid *account_id, int64_t time_ms,
                        struct err *err) MUST_USE;

// Puts what is missing into the index, some accounts at a time, on svc->loop; nobody waits for it.
void account_index_complete(struct svc *svc);

// ---- For the search ----

// The order of accounts: a later time of activity first, then those never active, younger first.
int64_t account_index_recency(bool was_active, int64_t last_active_ms, int64_t created_ms);
#define ACCOUNT_INDEX_NEVER (INT64_C(1) << 52) // what is taken off `created` of those never active

#define ACCOUNT_KEY_SIZE (4 * LIMIT_SEARCH_PREFIX + 1)

// A key, cut to LIMIT_SEARCH_PREFIX letters, and where each of its prefixes ends.
struct account_key {
    char text[ACCOUNT_KEY_SIZE];
    size_t count;
    size_t ends[LIMIT_SEARCH_PREFIX];
};
// The key of a lower-cased name, or of a term; none if it begins with white space or is empty.
void account_key_word(struct account_key *key, const char *name);
// The interleaved key of two names, or of two terms that are their beginnings; it ends with the
// first letter that one of them does not have.
void account_key_pair(struct account_key *key, const char *first, const char *last);
// The longest prefix of the key that has rows, as a length; all accounts that the key is a prefix
// of have one there.
int account_key_bucket(struct db_session *session, const struct account_key *key, size_t *ret_size,
                       struct err *err) MUST_USE;

#endif
