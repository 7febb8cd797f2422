// SPDX-License-Identifier: AGPL-3.0-or-later
// Limits that are not settings, with their reasons.
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

// The contract's limits for requests (api-v1 1.3).
#define LIMIT_BODY_SIZE   (3 * 1024 * 1024)
#define LIMIT_FORM_FIELDS 1000

// Deeper JSON than this is nobody's parameters; the reader recurses.
#define LIMIT_JSON_DEPTH 100
// Values in a JSON text: parsed, each takes forty times the two bytes that it can be written in,
// for as long as the call lasts.
#define LIMIT_JSON_VALUES 200000
// Levels of k[a][b]… in a form field.
#define LIMIT_FORM_DEPTH 8

// The contract's limit for reading a file as text, bytes (api-v1 3.10).
#define LIMIT_TEXT_FILE_SIZE 10000000
// Files read at once by one call (api-v1 3.10), and files named in one.
#define LIMIT_TEXT_FILES_AT_ONCE 20
#define LIMIT_TEXT_FILES         1000
// What they may have together, bytes: the reply is made in memory.
#define LIMIT_TEXT_FILES_SIZE (64 * 1024 * 1024)

// What exec keeps of each stream when the caller sets no max_output, bytes: the hub's memory is
// finite.
#define LIMIT_EXEC_OUTPUT (16 * 1024 * 1024)
// What it keeps of all commands, kernels and files outside of homes under way together, a quarter
// of it of one project; beyond the first bytes of each stream, which it always keeps.
#define LIMIT_EXEC_OUTPUTS      (256 * 1024 * 1024)
#define LIMIT_EXEC_OUTPUT_FIRST (16 * 1024)
// Longest time limit a caller can ask for, seconds (a day), and the arguments of one command.
#define LIMIT_EXEC_SECONDS 86400
#define LIMIT_EXEC_ARGS    4096
// Variables that one command is given, and their bytes: what a program can be started with has a
// bound in the system.
#define LIMIT_EXEC_ENV      1000
#define LIMIT_EXEC_ENV_SIZE (128 * 1024)
// The stamp of calls that are joined, bytes of JSON: it is compared with those of all that wait.
#define LIMIT_AGGREGATE 1000
// Asynchronous commands of a project: how many are kept (hub-rpc 6.3), in its own memory; what all
// of them keep together, bytes, beyond the first bytes of each stream; the text of one, bytes; and
// calls that wait for its end. How long the project's agent may take to answer, milliseconds: it
// does little else.
#define LIMIT_EXEC_JOBS          100
#define LIMIT_EXEC_JOBS_SIZE     ((size_t)64 * 1024 * 1024)
#define LIMIT_EXEC_JOB_TEXT      ((size_t)64 * 1024)
#define LIMIT_EXEC_JOB_WAITING   100
#define LIMIT_EXEC_JOB_ANSWER_MS 30000
// All results of joined calls that are kept for a minute, bytes.
#define LIMIT_AGGREGATE_KEPT ((size_t)64 * 1024 * 1024)
// Output of a command or of a kernel, bytes, that an event loop looks through itself. More is left
// to a worker: the loop has other clients.
#define LIMIT_OUTPUT_INLINE ((size_t)256 * 1024)

// Kernels. Name of one, bytes. Files that one may have open (hub-rpc 7.4). Characters of output
// that a caller can ask for: in four bytes each they fit into an answer. Kernels in reserve, of one
// kind and in all, and for how long, that it can ask for (7.5): each takes 68 MB of its project.
// Longest total time, milliseconds. What the project's process says of an error, bytes; and of
// kernels, with their pictures. How long it may take to answer at all, and to start a kernel
// besides, with others that are being started, milliseconds.
#define LIMIT_KERNEL_NAME      200
#define LIMIT_KERNEL_FILES     1000
#define LIMIT_KERNEL_OUTPUT    8000000
#define LIMIT_KERNEL_POOL      10
#define LIMIT_KERNEL_IDLE_S    86400
#define LIMIT_KERNEL_TOTAL_MS  86400000
#define LIMIT_KERNEL_ERROR     ((size_t)64 * 1024)
#define LIMIT_KERNEL_LIST      ((size_t)4 * 1024 * 1024)
#define LIMIT_KERNEL_ANSWER_MS 30000
#define LIMIT_KERNEL_START_MS  150000

// The longest path that the system takes, bytes.
#define LIMIT_PATH 4096
// Files in a home, soft and hard (api-v1 11.6), and the names that are counted at most: a file can
// have many.
#define LIMIT_HOME_FILES      1000000
#define LIMIT_HOME_FILES_HARD 1100000
#define LIMIT_HOME_NAMES      (4 * LIMIT_HOME_FILES_HARD)
// Calls that wait to do something to the files of one project.
#define LIMIT_HOME_WAITING 64
// Paths in one of them.
#define LIMIT_HOME_PATHS 10000
// The contract's limit for reading a public file, or all of a public folder, bytes (api-v1 6.4).
#define LIMIT_PUBLIC_FILE_SIZE 20000000
// Members of a folder's archive, and folders in folders: small ones are not free either.
#define LIMIT_ARCHIVE_FILES 100000
#define LIMIT_ARCHIVE_DEPTH 128
// Entries of a folder that is listed: all are sorted in memory.
#define LIMIT_LISTING 200000
// How long the links of one list are followed, milliseconds: time for tens of thousands of plain
// ones, and little for those that lead through thousands of others. Strangers wait for each other.
#define LIMIT_LISTING_LINKS_MS 500
// Requests for public files that wait for one network address.
#define LIMIT_PUBLIC_WAITING 64
// Enabled public paths of a project: each question of a stranger reads them all.
#define LIMIT_PUBLIC_PATHS 1000
// Public paths of a project, those that are disabled too: their records are kept.
#define LIMIT_PUBLIC_PATHS_KEPT 2000

// Account ids in one get_usernames.
#define LIMIT_USERNAMES 10000

// People added to projects by one call: it is one transaction.
#define LIMIT_ADD_COLLABORATORS 1000
// Characters of a project's invite token.
#define LIMIT_INVITE_TOKEN 254
// Such tokens of one project: one for each of a large class's groups, and some to spare.
#define LIMIT_INVITE_TOKENS 1000
// The text of an invitation, bytes: each of many recipients' messages holds it. And each of the
// shorter texts around it.
#define LIMIT_INVITATION_TEXT ((size_t)16384)
#define LIMIT_INVITATION_LINE ((size_t)1024)
// Invitations within a day by one account and to one address, so that nobody is flooded.
#define LIMIT_INVITATIONS_BY 1000
#define LIMIT_INVITATIONS_TO 100
// Mails in an hour by which one account verifies its address: it may be somebody else's.
#define LIMIT_VERIFICATIONS_HOUR 5
// Addresses that a project remembers to have sent mail to.
#define LIMIT_INVITES_NOTED 1000

// Columns of the contract (api-v1 2.4, 2.5, 2.6).
#define LIMIT_EMAIL        254
#define LIMIT_NAME         254
#define LIMIT_PASSWORD_MIN 6
#define LIMIT_PASSWORD_MAX 64

// Texts that are kept as long as what they describe, UTF-16 units: a title is a line, a description
// a page or some, and why somebody signs up a paragraph.
#define LIMIT_PROJECT_TITLE       1000
#define LIMIT_PROJECT_DESCRIPTION 100000
#define LIMIT_USAGE_INTENT        1000

// Passwords to be hashed that wait for one caller: two seconds' worth, which others wait too.
#define LIMIT_HASHES_WAITING 64

// Amount of an upgrade, a setting or a licence: far beyond any machine, and small enough that a
// thousand of them add up without loss.
#define LIMIT_UPGRADE 1e9
// Projects that one account has given upgrades to: all are gone through whenever it gives any.
#define LIMIT_UPGRADED_PROJECTS 10000
// Licences of one project: each is looked up at every start.
#define LIMIT_PROJECT_LICENSES 100

// HTML in mail: bytes, and levels of elements, for which a reader of HTML keeps a stack that every
// end tag may walk through.
#define LIMIT_HTML_SIZE  (512 * 1024)
#define LIMIT_HTML_DEPTH 100
// Subjects and names in mail, UTF-16 units: each becomes a header.
#define LIMIT_MAIL_SUBJECT 200
#define LIMIT_MAIL_NAME    100
// Messages on their way to the SMTP server at once.
#define LIMIT_MAIL_AT_ONCE 4
// Messages that `mail list` shows.
#define LIMIT_MAIL_LIST 1000

// Wrong passwords that a key's owner may give: few enough that guessing is hopeless, enough for
// somebody who tries the passwords that come to mind.
#define LIMIT_PASSWORD_FAILURES_MINUTE 5
#define LIMIT_PASSWORD_FAILURES_HOUR   30
// Forgotten passwords (api-v1 3.5).
#define LIMIT_RESETS_ADDRESS_HOUR  30
#define LIMIT_RESETS_CLIENT_MINUTE 10
#define LIMIT_RESETS_CLIENT_HOUR   60
// Rows past their time that one transaction deletes from each table: some milliseconds of the
// writer, which others wait for.
#define LIMIT_CLEANED_AT_ONCE 500
// The same of blobs, which may be large.
#define LIMIT_BLOBS_CLEANED_AT_ONCE 10

// What clients report: text of one error, bytes (a long trace), the rest is cut off; and errors of
// one account in an hour. All of them are kept 30 days.
#define LIMIT_CLIENT_ERROR_TEXT  ((size_t)32 * 1024)
#define LIMIT_CLIENT_ERRORS_HOUR 60
// And what they report of what people do: one event's value, bytes of JSON, and events of one
// account in an hour.
#define LIMIT_TRACKED_VALUE ((size_t)4 * 1024)
#define LIMIT_TRACKED_HOUR  300

// Of a search for accounts: names found by everybody (api-v1 7.2) and by administrators; items of
// one call (a class's list of addresses), and words in them; rows that a call looks at, some
// milliseconds' worth on a loop, and for administrators seconds' worth on a worker.
#define LIMIT_SEARCH_NAMES       50
#define LIMIT_SEARCH_NAMES_ADMIN 1000
#define LIMIT_SEARCH_ITEMS       1000
#define LIMIT_SEARCH_WORDS       10000
#define LIMIT_SEARCH_ROWS        20000
#define LIMIT_SEARCH_ROWS_ADMIN  2000000
// Accounts of one prefix in the search's index before longer prefixes get rows of their own, and
// the longest prefix that does, in characters.
#define LIMIT_SEARCH_BUCKET 32
#define LIMIT_SEARCH_PREFIX 24

// Support tickets: what one account may file, and what may be answered to all of its tickets, in an
// hour, as each becomes mail to the people who help; the answers of one ticket, whose page has them
// all; and the sizes of what they say, bytes.
#define LIMIT_TICKETS_PER_HOUR        20
#define LIMIT_TICKET_ANSWERS_PER_HOUR 20
#define LIMIT_TICKET_ANSWERS          100
#define LIMIT_TICKET_TEXT             (32 * 1024)
#define LIMIT_TICKET_LINE             1000
#define LIMIT_TICKET_INFO             (8 * 1024)
#define LIMIT_TICKET_TAGS             50
#define LIMIT_TICKET_TAG              100
// Tickets in one list.
#define LIMIT_TICKETS_LISTED 100

// The life of a project that is made for a time, ms: a hundred years, so that its end is a time.
#define LIMIT_EPHEMERAL_MS (INT64_C(36525) * 24 * 3600 * 1000)
// Bandwidth of a copy, KB a second: no disk is faster than a terabyte.
#define LIMIT_COPY_BANDWIDTH 1000000000
// Copies that one account has asked for and that have not finished: a course's handout to a large
// class, and rows that a start can count.
#define LIMIT_COPIES_WAITING 1000
// Finished copies of one account that are known, the newest ones: each has two paths and an error.
#define LIMIT_COPIES_FINISHED 2000
// How often a copy is started when its hub or its runner dies meanwhile: it may be what kills them.
#define LIMIT_COPY_ATTEMPTS 3
// Scheduled copies that become ready in one transaction.
#define LIMIT_COPIES_TENDED 1000
// Bytes of a copy's path, as the system has it.
#define LIMIT_COPY_PATH 4095

// Rows that a transaction names as changed, or that a loop has not been told of yet; more are "any
// row". Each takes 80 bytes.
#define LIMIT_CHANGES 1024
// A statement that is made while the program runs, bytes: each session keeps some.
#define LIMIT_SQL_TEXT ((size_t)64 * 1024)

// Of user queries. A map of a row as it is stored, bytes: each change reads and writes all of it,
// while others wait to write. Members of a request, nested ones included: together they hold a
// worker. The text of their results, bytes: it is made in memory. And long ones of one account that
// wait for their turn.
#define LIMIT_QUERY_MAP ((size_t)1024 * 1024)
// Values in a map that is sent: merging as many takes 25 ms.
#define LIMIT_QUERY_MAP_VALUES 25000
#define LIMIT_QUERY_MEMBERS    1000
#define LIMIT_QUERY_RESULT     ((size_t)64 * 1024 * 1024)
#define LIMIT_QUERY_WAITING    256
// How long the members of a request hold their worker until others take their turn, milliseconds.
#define LIMIT_QUERY_TURN_MS 100
// A row that an event loop writes, bytes: the map of one may have to be read and filled up.
#define LIMIT_QUERY_ROW_SMALL ((size_t)32 * 1024)

// Of what accounts and projects write of themselves. A line, such as a colour, in characters, and
// how many of them in a list. A user name (user-query 12.1). A map of settings, characters: a
// profile, which has a picture, is read with those of all collaborators.
#define LIMIT_QUERY_LINE  1000
#define LIMIT_QUERY_LINES 100
#define LIMIT_USER_NAME   39
#define LIMIT_ACCOUNT_MAP ((size_t)256 * 1024)
// Pictures of projects, characters of a data URL: for a list, where each of hundreds has one, and
// for a page.
#define LIMIT_AVATAR_TINY 65536
#define LIMIT_AVATAR_FULL (1024 * 1024)
// Keys of one account for one project, characters: everybody who reads the project's users has
// them. Its variables, each of which programs have in their memory; its course; who asks to join
// it, with the text of one such; what it says of itself.
#define LIMIT_PROJECT_KEYS     ((size_t)16 * 1024)
#define LIMIT_PROJECT_ENV      ((size_t)24 * 1024) // as JSON; less than what the runner takes
#define LIMIT_PROJECT_COURSE   ((size_t)16 * 1024)
#define LIMIT_PROJECT_REQUESTS ((size_t)256 * 1024)
#define LIMIT_PROJECT_STATUS   ((size_t)64 * 1024)
#define LIMIT_REQUEST_MESSAGE  2000
// Name and time of an action that a project is asked for, characters; and how often one may wait to
// be saved.
#define LIMIT_ACTION_TEXT   100
#define LIMIT_SAVES_WAITING 4
// How long an action is under way at most, milliseconds: a stop, a start and what waits to be saved
// before it; and how many of those that were lost one transaction ends.
#define LIMIT_ACTION_MS     (10 * 60 * 1000)
#define LIMIT_ACTIONS_ENDED 50

// Descriptions of public paths and mentions: some pages, UTF-16 units. Names that stand for
// projects and public paths in addresses, characters.
#define LIMIT_QUERY_TEXT 20000
#define LIMIT_URL_NAME   100

// Rows that a project keeps, the newest ones: three times what project_log_all shows; files whose
// use is noted; uses of them (a class of thirty at work for a month); mentions; listings, those
// that somebody looks at. Each is as large as its values below, bytes.
#define LIMIT_PROJECT_LOG     20000
#define LIMIT_FILE_USE        5000
#define LIMIT_FILE_ACCESSES   50000
#define LIMIT_MENTIONS        5000
#define LIMIT_LISTINGS        100
#define LIMIT_LOG_EVENT       (20 * 1024)
#define LIMIT_FILE_USERS      (128 * 1024)
#define LIMIT_MENTION_USERS   (64 * 1024)
#define LIMIT_LISTING_ENTRIES (1024 * 1024)
// Mail of mentions to one account in a day.
#define LIMIT_MENTION_MAILS 50

// Blobs: the contract's size of one, bytes (user-query 12.10). Those that one account has stored:
// all their bytes are in the database, and all of them are added up for each new one. How long one
// may be kept unless it is for ever, seconds: a hundred years.
#define LIMIT_BLOB       10000000
#define LIMIT_BLOBS      10000
#define LIMIT_BLOBS_SIZE (INT64_C(200) * 1000 * 1000)
#define LIMIT_BLOB_TTL   (INT64_C(36525) * 24 * 3600)

// Managers of a license. What programs tell the central log: one event's value, characters, and
// events of one account in an hour.
#define LIMIT_LICENSE_MANAGERS    100
#define LIMIT_CENTRAL_VALUE       ((size_t)4 * 1024)
#define LIMIT_CENTRAL_EVENTS_HOUR 300
// A setting, characters: one may be a picture. One that takes effect here, bytes: it stays in
// memory.
#define LIMIT_SETTING      ((size_t)1024 * 1024)
#define LIMIT_SETTING_USED ((size_t)1000)
// Messages: subject, characters, body, characters (a long letter), and recipients, whose unread
// messages are counted anew, each in a millisecond. What one account may write in a second, a
// minute and an hour is the contract's (user-query 12.14), what it keeps is not. Messages among
// which the unread ones are counted. And messages in a list (hub-rpc 2.7).
#define LIMIT_MESSAGE_SUBJECT         1000
#define LIMIT_MESSAGE_BODY            ((size_t)100 * 1000)
#define LIMIT_MESSAGE_RECIPIENTS      100
#define LIMIT_MESSAGES_SECOND         3
#define LIMIT_MESSAGES_MINUTE         15
#define LIMIT_MESSAGES_HOUR           200
#define LIMIT_MESSAGES_WRITTEN        20000
#define LIMIT_MESSAGES_COUNTED        1000
#define LIMIT_MESSAGES_LISTED         500
#define LIMIT_MESSAGES_LISTED_DEFAULT 100
// Texts of an organization (user-query 12.15), its name aside, characters; and how many look after
// it, whose list is read and written as a whole.
#define LIMIT_ORGANIZATION_TEXT   254
#define LIMIT_ORGANIZATION_ADMINS 1000

// Systems in images/, and the length of their names, bytes.
#define LIMIT_IMAGES     1000
#define LIMIT_IMAGE_NAME 100

// Of a get (user-query 5): rows of one reply, the contract's cap; and conditions, of which each
// column may have several.
#define LIMIT_QUERY_ROWS       100000
#define LIMIT_QUERY_CONDITIONS 100
// What conditions that no index knows may look at: rows, bytes of their values and steps of
// patterns, each a second's worth of a worker at most.
#define LIMIT_QUERY_ROWS_LOOKED_AT 200000
#define LIMIT_QUERY_WORK           100000000

// Texts of any length that are part of a key or an index, such as paths, bytes: with the ids and
// times beside them they fit into a row of PostgreSQL's indexes, which has at most 2704.
#define LIMIT_DB_KEY_TEXT 2500

// PostgreSQL. Transactions at once of one process: the server's disk takes many together, and more
// get into each other's way. Connections kept for the next reader. Statements that one of them
// keeps prepared: all that are in frequent use.
#define LIMIT_DB_WRITERS  8
#define LIMIT_DB_IDLE     16
#define LIMIT_DB_PREPARED 256
// How often a transaction runs that others get into the way of, at least. Milliseconds: how long it
// tries, at least; how long one whose connection was lost waits for another, or to know what became
// of it, until the server has started again; and between two looks.
#define LIMIT_DB_ATTEMPTS    30
#define LIMIT_DB_PATIENCE_MS 10000
#define LIMIT_DB_RETURN_MS   5000
#define LIMIT_DB_LOOK_MS     100
// Milliseconds: for one statement; for its answer on the network besides; to connect, unless the
// database's address has a connect_timeout; before the next try to connect after one that failed,
// and of the thread that listens for notices.
#define LIMIT_DB_STATEMENT_MS      30000
#define LIMIT_DB_STATEMENT_MS_TEXT "30000"
#define LIMIT_DB_ANSWER_MS         5000
#define LIMIT_DB_CONNECT_MS        5000
#define LIMIT_DB_CONNECT_MAX_S     600
#define LIMIT_DB_CONNECT_PAUSE_MS  1000
#define LIMIT_DB_LISTEN_PAUSE_MS   200
// And how often a process that hears no notices takes it that anything has changed.
#define LIMIT_DB_DEAF_MS 1000
// Seconds without a word before a silent server is asked whether it is there, and between two such
// questions; milliseconds without an answer until it is taken for lost.
#define LIMIT_DB_KEEPALIVE_S_TEXT "3"
#define LIMIT_DB_SILENT_MS_TEXT   "10000"

// How long a token that signs a browser in may last, milliseconds: whoever finds it in a history is
// that person until then.
#define LIMIT_AUTH_TOKEN_LIFE_MS (INT64_C(31) * 24 * 3600 * 1000)

// API keys of one account (hub-rpc 8.2).
#define LIMIT_KEYS 100000

// Browsers that are signed in to one account: a token lets in any number. The oldest are signed
// out.
#define LIMIT_SIGN_INS 1000

// Of an answer, bytes that the kernel takes off the server: it would let them grow to megabytes for
// a client that does not read.
#define LIMIT_SEND_BUFFER (128 * 1024)

// Keys whose accounts a loop remembers.
#define LIMIT_KEY_CACHE 4096

// Stack of a fiber (loop/fiber.h), bytes: the calls that run in fibers were seen to use 12 KiB; the
// rest is for what connecting does (names, TLS) and for sanitizers. What is not used takes no
// memory.
#define LIMIT_FIBER_STACK ((size_t)256 * 1024)
// Calls of one I/O loop that wait for a session of a remote database, and for how long: clients
// that wait longer have mostly given up.
#define LIMIT_LANE_CALLS   4096
#define LIMIT_LANE_WAIT_MS 10000

// Hubs on one data folder: each looks at the others' locks when it starts.
#define LIMIT_HUBS 16

// How long a caller of a method can have it wait, in ms: longer than any command may run, so that
// it is the command's limit that counts.
#define LIMIT_RPC_TIMEOUT_MS (INT64_C(2) * LIMIT_EXEC_SECONDS * 1000)

// The patches of one sync.history, bytes: they are made in memory.
#define LIMIT_HISTORY_RESULT ((size_t)64 * 1024 * 1024)
// Of a search for accounts by any part of their names (hub-rpc 2.1): words, each of which is looked
// for in every name, half a second for a million accounts; those found, and by administrators.
#define LIMIT_FIND_TERMS       8
#define LIMIT_FIND_TERMS_ADMIN 32
#define LIMIT_FIND_NAMES       50
#define LIMIT_FIND_NAMES_ADMIN 2500
// Such searches of one account that may wait: one runs at a time.
#define LIMIT_SEARCHES_WAITING 16
// Accounts that one statement of an administrators' search reads.
#define LIMIT_FIND_PAGE 10000
// Accounts whose names one method looks up on a loop; more are looked up on a worker.
#define LIMIT_NAMES_SMALL 64
// Blobs that one method keeps for good: it is one transaction.
#define LIMIT_BLOBS_KEPT 1000

// A request to the kernel bridge, bytes: code, history and what JSON adds.
#define LIMIT_KERNEL_REQUEST ((size_t)16 * 1024 * 1024)

#endif
