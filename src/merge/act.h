/*
 * act.h: what merge_members() and unmerge() have in common as calls: a reference
 * that makes them repeatable, a policy, a dry run, a record.
 */
#ifndef CRM_MERGE_ACT_H
#define CRM_MERGE_ACT_H

#include "merge/merge.h"

typedef struct MergeRequest
{
	char	   *ref;			/* NULL: none */
	char	   *actor;
	Jsonb	   *policy;
	int64		fingerprint;	/* of what was asked for */
	bool		dry_run;
} MergeRequest;

extern void RequireSetup(void);
/* The arguments at these positions. */
extern void ReadRequest(FunctionCallInfo fcinfo, int ref, int policy, int actor, MergeRequest *request);
extern void SetFingerprint(MergeRequest *request, StringInfo said);
/* Error 22023 for what they do not know. */
extern void CheckMergePolicy(const Jsonb *policy);
extern void CheckUnmergePolicy(const Jsonb *policy);
extern bool PolicyFlag(const Jsonb *policy, const char *key);
/* NULL: it does not say */
extern char *PolicyText(const Jsonb *policy, const char *key);

/* What the first call under this reference answered; NULL: there was none.  RM001 where it asked for something else. */
extern char *FirstReport(const MergeRequest *request);
/* Do it; for a dry run, in a subtransaction that is rolled back. */
extern char *Perform(char *(*act) (const MergeRequest *, void *), const MergeRequest *request, void *argument);
extern void RecordAct(const MergeRequest *request, int64 merge_id, const char *act, int64 of_merge, int64 survivor,
					  const int64 *others, int nothers, const char *evidence, const char *report, const char *event);
/* SPI_finish, and the report as jsonb. */
extern Datum ReturnReport(const char *report, MemoryContext caller);
/* [1, 2] */
extern char *IdList(const int64 *ids, int n);

#endif
