// SPDX-License-Identifier: AGPL-3.0-or-later
// The numbered SQL files of each dialect, embedded when the program is built (embed_sql.py).
#ifndef DB_MIGRATIONS_H
#define DB_MIGRATIONS_H

#include "db/backend.h"

extern const struct db_migration db_migrations_sqlite[];
extern const size_t db_migrations_sqlite_count;
extern const struct db_migration db_migrations_postgresql[];
extern const size_t db_migrations_postgresql_count;

#endif
