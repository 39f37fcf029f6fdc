/*
 * fuzz.c: libFuzzer on the parsers, inside a server.
 *
 * The whole library is compiled with the fuzzer's instrumentation, and the
 * fuzzer runs as a function of a single-user server, so memory contexts,
 * settings and errors are the real ones.  Every input lies against a page that
 * cannot be read, so that a parser that reads on is seen.
 */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*callback) (const uint8_t *data, size_t size));

static const FuzzTarget *const targets[] = {
	&condition_target, &code_target, &decimal_target, &allocate_target, &expiry_target,
	&brackets_target, &text_target, &sale_target
};

static const FuzzTarget *target;
static MemoryContext context;
static char *guard;				/* no byte can be read from here on */
static Size page;

void
FuzzCheck(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz %s: %s\n", target->name, what);
	abort();
}

static bool
MayRefuse(int sqlstate)
{
	for (const int *state = target->refusals; *state != 0; state++)
	{
		if (*state == sqlstate)
			return true;
	}
	return false;
}

static int
TryInput(const uint8_t *data, size_t size)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *text = guard - size - 1;

	if (size >= page)
		return -1;
	memcpy(text, data, size);
	text[size] = '\0';
	PG_TRY();
	{
		target->try(text, size);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		FuzzCheck(MayRefuse(error->sqlerrcode), error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
	return 0;
}

static void
MakeGuard(void)
{
	char	   *pages;

	page = sysconf(_SC_PAGESIZE);
	pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	guard = pages + page;
	FuzzCheck(pages != MAP_FAILED && mprotect(guard, page, PROT_NONE) == 0, "no guard page");
}

/* crm_fuzz(target text, arguments text[]): the arguments are the fuzzer's own. */
PG_FUNCTION_INFO_V1(crm_fuzz);
Datum
crm_fuzz(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum	   *elements;
	int			n;
	char	  **argv;

	for (int i = 0; i < lengthof(targets); i++)
	{
		if (strcmp(targets[i]->name, name) == 0)
			target = targets[i];
	}
	if (target == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no target \"%s\"", name)));
	context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  &n);
	argv = palloc0((n + 2) * sizeof(char *));
	argv[0] = "fuzz";
	for (int i = 0; i < n; i++)
		argv[i + 1] = TextDatumGetCString(elements[i]);
	n++;
	MakeGuard();
	if (target->begin != NULL)
		target->begin();
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&n, &argv, TryInput));
}
