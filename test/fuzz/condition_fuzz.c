/*
 * condition_fuzz.c: libFuzzer on the condition parser, inside a server.
 *
 * The rooms condition and money are compiled into this library with the
 * fuzzer's instrumentation, and the fuzzer runs as a function of a single-user
 * server, so memory contexts and errors are the real ones.  Whatever parses
 * must print and read back as itself, byte for byte, and can be evaluated; what
 * does not parse must say 22P02 or 54000.
 */
#include "crm_member.h"
#include "condition/condition.h"

#include <sys/mman.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*callback) (const uint8_t *data, size_t size));

static MemoryContext context;
static char *guard;				/* no byte can be read from here on */
static Facts unknown;			/* nothing is known */
static Facts some;

static void
Check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "condition_fuzz: %s\n", what);
	abort();
}

static void
TryCondition(const char *text)
{
	Condition  *condition = ParseCondition(text);
	char	   *printed = PrintCondition(condition);
	Condition  *again = ParseCondition(printed);
	StringInfoData clause;
	StringInfoData saw;
	Truth		truth;

	Check(VARSIZE(condition) == VARSIZE(again) &&
		  memcmp(condition, again, VARSIZE(condition)) == 0, "read back as something else");
	Check(strcmp(printed, PrintCondition(again)) == 0, "printed in two ways");
	ConditionToSql(condition);
	EvaluateCondition(condition, &unknown);
	truth = EvaluateCondition(condition, &some);
	initStringInfo(&clause);
	initStringInfo(&saw);
	ExplainCondition(condition, &some, &clause, &saw);
	Check((clause.len == 0) == (truth == TRUTH_TRUE), "explained what needs none, or not");
}

static int
TryInput(const uint8_t *data, size_t size)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *text = guard - size - 1;

	memcpy(text, data, size);
	text[size] = '\0';
	PG_TRY();
	{
		TryCondition(text);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		Check(error->sqlerrcode == ERRCODE_INVALID_TEXT_REPRESENTATION ||
			  error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED, error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
	return 0;
}

static void
MakeGuard(void)
{
	Size		page = sysconf(_SC_PAGESIZE);
	char	   *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
							 -1, 0);

	guard = pages + page;
	Check(pages != MAP_FAILED && mprotect(guard, page, PROT_NONE) == 0, "no guard page");
}

static void
FillFacts(void)
{
	Datum		text = CStringGetDatum("{\"a\": 1.5, \"b\": \"red\", \"c\": true, \"d\": [1], "
									   "\"e\": \"-0.25\"}");
	Datum		attrs = DirectFunctionCall1(jsonb_in, text);

	some.facts[MEMBER_TIER].known = true;
	some.facts[MEMBER_TIER].value.text.data = "gold";
	some.facts[MEMBER_TIER].value.text.length = 4;
	some.facts[SALE_AMOUNT].known = true;
	some.facts[SALE_AMOUNT].value.number.units = 8750;
	some.facts[SALE_AMOUNT].value.number.scale = 2;
	some.facts[MEMBER_IS_BIRTHDAY].known = true;
	some.facts[SALE_DATE].known = true;
	some.facts[SALE_SOLD_AT].known = true;
	for (int subject = 0; subject < SUBJECT_COUNT; subject++)
		some.attrs[subject] = DatumGetJsonbP(attrs);
}

/* condition_fuzz(arguments text[]): the fuzzer's own; it ends the server. */
PG_FUNCTION_INFO_V1(condition_fuzz);
Datum
condition_fuzz(PG_FUNCTION_ARGS)
{
	Datum	   *elements;
	int			n;
	char	  **argv;

	context = AllocSetContextCreate(TopMemoryContext, "condition_fuzz", ALLOCSET_DEFAULT_SIZES);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  &n);
	argv = palloc0((n + 2) * sizeof(char *));
	argv[0] = "condition_fuzz";
	for (int i = 0; i < n; i++)
		argv[i + 1] = TextDatumGetCString(elements[i]);
	n++;
	MakeGuard();
	FillFacts();
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&n, &argv, TryInput));
}
