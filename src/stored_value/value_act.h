/*
 * value_act.h: acts on stored value, for those who write them.
 *
 * Everything here runs between SPI_connect and SPI_finish.
 */
#ifndef CRM_VALUE_ACT_H
#define CRM_VALUE_ACT_H

#include "points/ledger.h"
#include "stored_value/stored_value.h"

/* The member, and those merged with it */
#define VALUE_FAMILY \
	"ANY (ARRAY(SELECT $1 UNION ALL SELECT o.member_id FROM crm_member.member_kin k " \
	"JOIN crm_member.member_kin o ON o.kin = k.kin AND o.root = k.root WHERE k.member_id = $1))"

typedef enum Spending
{
	SPENDING_PRO_RATA,
	SPENDING_PRINCIPAL_FIRST,
	SPENDING_GIFT_FIRST
} Spending;

typedef struct ValueSetting
{
	Spending	spending;
	int64		least;			/* balance that spending must leave, negative for an overdraft */
	bool		has_hold_period;
	Interval	hold_period;
	Decimal		points_per;		/* 0: top-ups earn none */
} ValueSetting;

/* What a call asks for, and what becomes of it. */
typedef struct ValueAct
{
	const char *kind;
	int64		member_id;
	int64		amount;			/* 0: all that is left, where that makes sense */
	ValueSplit	split;
	int64		balance;		/* after it */
	const char *ref;
	const char *of_ref;
	int64		sale_id;
	TimestampTz at;
	const char *reason;
	const char *actor;
} ValueAct;

/* stored_value.c */
extern const PointsType *Principal(void);
extern const PointsType *Gift(void);
extern void LoadValueSetting(ValueSetting *setting);
/* Both accounts, with what timed out released; those of the survivor, where the member was merged. */
extern void LockValue(ValueAct *act);
/* The act with this reference: true, and its balance and split, if there was one of the same content. */
extern bool FindValueAct(ValueAct *act);
/* An earlier act that this one is about, of one of two kinds; RM702 */
extern void FindValueActOf(const ValueAct *act, ValueAct *of, const char *kind, const char *or_kind);
/* How much acts of a kind have done of another already. */
extern int64 ValueDoneOf(const ValueAct *act, const char *kind);
/* How the amount falls on what there is; RM701 */
extern void SplitValue(ValueAct *act, bool may_overdraw);
/* The part of another act that comes next, in its proportion; RM703 */
extern void SplitValueLike(ValueAct *act, const ValueAct *of, int64 done, int64 left);
/* Record the act; its balance is the one after its postings. */
extern void RecordValueAct(ValueAct *act);
/* An act on one of the two accounts, and its reference there. */
extern Act	ValuePart(const ValueAct *act, const char *kind, bool gift, int64 amount);
extern char *ValuePartRef(const char *ref, bool gift);

extern void TopUpValue(ValueAct *act, bool gift_said);
extern void SpendValue(ValueAct *act);
extern void ReturnValue(ValueAct *act);
extern void CloseValue(ValueAct *act);

/* authorise.c */
extern void AuthoriseValue(ValueAct *act, TimestampTz expires_at);
extern void CaptureValue(ValueAct *act, bool release_rest);
extern void VoidValue(ValueAct *act);

#endif
