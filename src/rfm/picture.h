/*
 * picture.h: what the pictures of a model show, read.
 */
#ifndef CRM_PICTURE_H
#define CRM_PICTURE_H

#include "postgres.h"
#include "lib/stringinfo.h"

#include "rfm/rfm.h"

typedef enum Language
{
	LANGUAGE_EN,
	LANGUAGE_ZH
} Language;

/* 'en' or 'zh'; error 22023 for others. */
extern Language ParseLanguage(const char *name);

typedef struct Grid
{
	const char *model;
	const char *name;
	const char *as_of;			/* NULL: never run */
	int			bins;
	int64		members;
	int64		largest;
	int64		cells[RFM_MAX_BINS + 1][RFM_MAX_BINS + 1];	/* by recency, frequency */
} Grid;

typedef struct Bar
{
	const char *name;
	int64		members;
	double		member_share;
	double		money_share;
} Bar;

/* Run between SPI_connect and SPI_finish; error RM501 for an unknown model. */
extern void ReadGrid(const char *model, Grid *grid);
extern int	ReadBars(const char *model, Language language, Bar **bars);

/* Columns that a text takes on a terminal: a Han character takes two. */
extern int	DisplayWidth(const char *s);

/* A function of (model, language) that returns what draw appends. */
typedef void (*DrawFunction) (StringInfo out, const char *model, Language language);
extern text *DrawPicture(DrawFunction draw, FunctionCallInfo fcinfo);

#endif
