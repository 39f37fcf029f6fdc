/*
 * change.h: the members whose purchases changed since a model's last run.
 */
#ifndef CRM_CHANGE_H
#define CRM_CHANGE_H

#include "postgres.h"

/* Stands for every member. */
#define ANY_MEMBER INT64CONST(0)

typedef struct Changes
{
	int64	   *members;
	size_t		nmembers;
	bool		any;			/* all members are to be measured anew */
} Changes;

/* One run at a time, of whatever model, uses the log.  Run before taking the snapshot. */
extern void LockChanges(void);

/*
 * The changes that the active snapshot sees and this model has not yet taken
 * in.  They are removed from the log, or left to the other models.
 */
extern void TakeChanges(const char *model_code, Changes *changes);

/* Leave members to the next run of the model. */
extern void PutChanges(const char *model_code, const int64 *members, size_t n);

/* What the triggers do for one member; for who writes without them. */
extern void NotePurchase(int64 member);

#endif
