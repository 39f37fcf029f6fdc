/*
 * model.h: a row of rfm_model, read.
 */
#ifndef CRM_MODEL_H
#define CRM_MODEL_H

#include "postgres.h"
#include "utils/date.h"

#include "rfm/score.h"

typedef enum FrequencyOf
{
	FREQUENCY_ORDERS,
	FREQUENCY_UNITS,
	FREQUENCY_DAYS
} FrequencyOf;

/* Decimals of a frequency in units, as lines have them. */
#define UNIT_SCALE 6

typedef struct Model
{
	const char *code;
	DateADT		first_day;		/* DATEVAL_NOBEGIN: no window */
	FrequencyOf frequency_of;
	bool		gross;
	Banding		banding;
} Model;

/*
 * The model as it is on a day, in the current memory context.  Run between
 * SPI_connect and SPI_finish.  RM501 for an unknown one, 22023 for bad cuts.
 */
extern void ReadModel(const char *code, DateADT as_of, Model *model);

#endif
