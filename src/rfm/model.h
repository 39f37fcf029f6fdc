/*
 * model.h: a row of rfm_model, read.
 */
#ifndef CRM_MODEL_H
#define CRM_MODEL_H

#include "postgres.h"
#include "utils/date.h"

#include "rfm/score.h"
#include "rfm/source.h"

typedef enum FrequencyOf
{
	FREQUENCY_ORDERS,
	FREQUENCY_UNITS,
	FREQUENCY_DAYS
} FrequencyOf;

typedef struct Model
{
	const char *code;
	char	   *progress;		/* what a run of it is called */
	DateADT		first_day;		/* DATEVAL_NOBEGIN: no window */
	FrequencyOf frequency_of;
	bool		gross;
	const Condition *scope;		/* sales that count; NULL: all */
	Banding		banding;
	char	   *definition;		/* what decides which purchases count, and how */
	char	   *source;			/* the purchases of all members, as PurchaseQuery wants them */
	char	   *source_of;		/* those of the members in $1 */
	char	   *refunds;		/* refunds of these purchases */
	char	   *refunds_of;
} Model;

/*
 * The model as it is on a day, in the current memory context.  Run between
 * SPI_connect and SPI_finish.  RM501 for an unknown one, 22023 for bad cuts.
 */
extern void ReadModel(const char *code, DateADT as_of, Model *model);

/* What to collect; members and aliases are left to the caller. */
extern void ModelQuery(const Model *model, DateADT as_of, PurchaseQuery *query);
/* What to subtract from it; of_members as there are members in the query of purchases. */
extern void RefundQuery(const Model *model, const PurchaseQuery *purchases, PurchaseQuery *query);

#endif
