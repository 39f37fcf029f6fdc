/*
 * refund.h: a refund as its document says it, and as it is reckoned.
 *
 * Every share is cumulative: what is due for all units of a line returned so
 * far, less what was given back before.  Shares of a line thus add up to the
 * line, shares of a sale to the sale, in any order and number of refunds.  All
 * of it comes from what was recorded at the time of the sale.
 */
#ifndef CRM_REFUND_H
#define CRM_REFUND_H

#include "points/points.h"
#include "sale/sale.h"

typedef struct ReturnedLine
{
	int			line_no;
	Decimal		quantity;
	bool		has_quantity;	/* false: all that is left */
} ReturnedLine;

typedef struct RefundDocument
{
	char	   *ref;
	char	   *source;
	char	   *sale_ref;
	char	   *sale_source;
	TimestampTz refunded_at;
	bool		has_refunded_at;
	int64		shipping;
	bool		has_shipping;
	char	   *reason;
	char	   *actor;
	bool		has_lines;		/* false: all that is left of all lines */
	int			nlines;
	ReturnedLine *lines;
} RefundDocument;

/* document.c */
extern RefundDocument *ReadRefundDocument(Jsonb *jsonb);

/* A line of the sale, and what comes back of it; quantities at QUANTITY_SCALE. */
typedef struct RefundedLine
{
	const SaleLine *line;
	int64		sold;
	int64		before;			/* returned before this refund */
	int64		after;			/* ... and with it */
	int64		amount;			/* of this refund */
	int64		discount;
	int64		points;			/* of the points type that answers sum up */
} RefundedLine;

/* Points of one type. */
typedef struct RefundedPoints
{
	const PointsType *type;
	int64		taken;
	int64		given;
	int64		shortfall;
	int64		shortfall_value;	/* money, and below */
	int64		charged;
} RefundedPoints;

typedef struct Refund
{
	const RefundDocument *document;
	Sale		sale;
	TimestampTz at;				/* what is booked happens then: not before the sale */
	int64		refund_id;
	RefundedLine *lines;		/* one a line of the sale */
	int64		amount;			/* money, of this refund */
	int64		discount;
	int64		shipping;
	int64		payable;
	int64		points_value;
	int64		stored_value;
	int64		charged;
	int64		payable_before; /* of the refunds before it */
	bool		all;			/* no unit is left */
	bool		complete;		/* nor shipping */
	List	   *points;			/* of RefundedPoints */
} Refund;

/* refund_goods.c: which units come back, and what they are worth */
extern void ReckonGoods(Refund *refund);
extern RefundedLine *FindRefundedLine(Refund *refund, int line_no);
/* Without trailing zeros. */
extern Decimal RefundedQuantity(const RefundedLine *line);
/* The share of so many of the units sold, or of none sold, the whole. */
extern int64 ShareOf(int64 total, int64 units, int64 sold, Rounding rounding);

/* refund_tender.c: points and stored value go back, and earned points are taken back */
extern void MoveTender(Refund *refund);
extern RefundedPoints *RefundedPointsOf(Refund *refund, const PointsType *type);

/* refund_row.c: the answer, and the rows */
extern Jsonb *RefundAnswer(Refund *refund);
extern void InsertRefund(const Refund *refund, Jsonb *answer);

#endif
