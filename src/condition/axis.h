/*
 * axis.h: what the clauses over one attribute say of each of its values.
 *
 * The constants that the clauses name have, in order, the positions 1, 3, 5 ...,
 * the gaps before, between and behind them 0, 2, 4 ...  What a clause says is the
 * same everywhere in a gap, so along the axis a condition changes between true
 * and false only at some positions.  These changes are kept as events in order
 * of position, and the bitmap of true conditions after every EVENT_STEP of them;
 * the bitmap at any position is the nearest one with a few bits flipped.
 */
#ifndef CRM_AXIS_H
#define CRM_AXIS_H

#include "condition/condition_datum.h"

#define WORD_BITS  64
#define EVENT_STEP 64

#define SetBit(bits, i)	  ((bits)[(i) / WORD_BITS] |= UINT64CONST(1) << ((i) % WORD_BITS))
#define FlipBit(bits, i)  ((bits)[(i) / WORD_BITS] ^= UINT64CONST(1) << ((i) % WORD_BITS))
#define ClearBit(bits, i) ((bits)[(i) / WORD_BITS] &= ~(UINT64CONST(1) << ((i) % WORD_BITS)))

/* A conjunct over one attribute. */
typedef struct Clause
{
	int			condition;		/* number of its condition */
	int			attribute;
	bool		negated;
	NodeKind	kind;
	int			op;				/* as in ConditionNode */
	int			nvalues;
	Fact	   *values;			/* in order */
	int		   *positions;		/* of the values */
} Clause;

typedef struct Event
{
	int			position;
	int			condition;		/* that changes there */
} Event;

typedef struct Axis
{
	int			attribute;
	FactType	type;
	int			nwords;
	int			nvalues;
	Fact	   *values;
	bool		has_order;		/* else all gaps are alike */
	uint32	   *slots;			/* of texts: number of a value + 1, by hash */
	uint32		slot_mask;
	int			nevents;
	Event	   *events;
	int		   *events_until;	/* by position: events there and before */
	uint64	   *steps;			/* bitmaps: before all events, after EVENT_STEP of them ... */
	uint64	   *unknown;		/* conditions that hold where there is no value */
	uint64	   *scratch;
} Axis;

/* From all clauses over an attribute, in order of condition; all: a bitmap of all conditions. */
extern void BuildAxis(Axis *axis, FactType type, Clause *clauses, int n, const uint64 *all,
					  int nwords);

/* The conditions whose clauses hold of a known value; good until the next call. */
extern const uint64 *AxisBits(const Axis *axis, const Fact *fact);

#endif
