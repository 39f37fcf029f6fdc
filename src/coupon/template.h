/*
 * template.h: coupon templates, cached for the session.
 */
#ifndef CRM_COUPON_TEMPLATE_H
#define CRM_COUPON_TEMPLATE_H

#include "postgres.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "condition/condition.h"
#include "condition/index.h"
#include "money/money.h"

typedef enum CouponKind
{
	KIND_AMOUNT,
	KIND_PERCENT,
	KIND_FIXED_PRICE,
	KIND_BUY_X_GET_Y,
	KIND_GIFT,
	KIND_FREE_SHIPPING
} CouponKind;

typedef enum CouponTarget
{
	TARGET_ORDER,
	TARGET_LINE,
	TARGET_UNIT,
	TARGET_CHEAPEST,
	TARGET_DEAREST
} CouponTarget;

typedef enum Exclusive
{
	EXCLUSIVE_NO,
	EXCLUSIVE_WINS,
	EXCLUSIVE_PRIORITY
} Exclusive;

/* Money in minor units; what is not limited is PG_INT64_MAX. */
typedef struct CouponTemplate
{
	char	   *code;
	bool		active;
	bool		automatic;

	CouponKind	kind;
	CouponTarget target;
	int64		value;			/* amount, fixed_price, free_shipping */
	Decimal		percent;		/* percent, buy_x_get_y, gift */
	Condition  *eligible;		/* NULL: every line */
	Condition  *requires;		/* NULL: nothing */
	int64		buy_quantity;
	int64		get_quantity;
	Condition  *get_eligible;	/* NULL: as eligible */
	bool		partial_reward;
	bool		dearest_first;
	bool		redistribute;
	bool		of_original;
	Allocation	allocation;
	Rounding	rounding;

	int64		max_discount;
	int64		max_units;
	int64		min_spend;		/* 0: none */
	Decimal		min_quantity;
	bool		min_after;
	bool		min_net;

	int			priority;
	char	   *stack_group;	/* NULL: none */
	Exclusive	exclusive;

	int			uses;			/* of a code; 0: any number */
	bool		split_value;
	bool		has_limit;		/* total_limit */
	bool		has_budget;
	bool		grants_remainder;
	int			shares;			/* rows of coupon_share */
	int			member_limit;	/* -1: none */

	TimestampTz valid_from;
	TimestampTz valid_until;	/* exclusive */
	DateADT		first_day;		/* of validity, where valid_from is finite */
	int			valid_days;		/* -1: none */
	bool		release_on_refund;
	bool		stop_lines;		/* later offers leave its lines alone */
} CouponTemplate;

typedef struct TemplateSet
{
	MemoryContext context;
	CouponTemplate *templates;	/* by code */
	int			ntemplates;
	CouponTemplate **automatic; /* active automatic promotions */
	int			nautomatic;
	ConditionIndex *requires;	/* of the automatic ones, with their validity */
	ConditionIndex *eligible;
	bool		uses[ATTRIBUTE_COUNT];	/* some condition looks at the attribute */
} TemplateSet;

/* Valid until the end of the transaction, whatever happens to the templates meanwhile. */
extern const TemplateSet *GetTemplateSet(void);
/* NULL where there is none; RequireTemplate: error RM410, or RM411 where it is not active */
extern const CouponTemplate *FindTemplate(const TemplateSet *set, const char *code);
extern const CouponTemplate *RequireTemplate(const char *code);

#endif
