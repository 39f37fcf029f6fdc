/*
 * refund.h: a refund as its document says it.
 */
#ifndef CRM_REFUND_H
#define CRM_REFUND_H

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

#endif
