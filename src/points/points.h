/*
 * points.h: rules, their evaluation, and the ledger.
 *
 * An amount of points is an int64 in minor units of its points type.
 */
#ifndef CRM_POINTS_H
#define CRM_POINTS_H

#include "postgres.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "condition/condition.h"
#include "money/money.h"
#include "sale/sale.h"

/* expiry.c: when points expire, as the text of points_type.expiry says */
typedef enum ExpiryKind
{
	EXPIRY_NEVER,
	EXPIRY_AFTER,				/* so long after they were earned */
	EXPIRY_INACTIVE,			/* so long after the member last earned or spent any */
	EXPIRY_END_OF_MONTH,		/* of the n-th month after */
	EXPIRY_END_OF_YEAR,			/* of the n-th year after */
	EXPIRY_DATE					/* a fixed last day */
} ExpiryKind;

typedef struct Expiry
{
	ExpiryKind	kind;
	int			count;			/* EXPIRY_END_OF_... */
	Interval	after;			/* EXPIRY_AFTER, EXPIRY_INACTIVE */
	DateADT		date;			/* EXPIRY_DATE */
} Expiry;

/* NULL, or what is wrong with it. */
extern const char *ParseExpiry(const char *text, Expiry *expiry);
extern void RefuseExpiry(int sqlstate, const char *text, const char *fault);
extern TimestampTz ExpiresAt(const Expiry *expiry, TimestampTz from);

/* what happens when more is taken back than there is */
typedef enum Deficit
{
	DEFICIT_ALLOW,
	DEFICIT_CLAMP,
	DEFICIT_REFUSE,
	DEFICIT_CHARGE
} Deficit;

/* rule.c: the active rules, cached */
typedef struct PointsType
{
	char	   *name;
	text	   *name_text;
	int			decimals;
	Expiry		expiry;
	Deficit		deficit;
	Interval   *reinstatement;	/* NULL: what is given back after its expiry stays expired */
	Interval   *hold_period;	/* NULL: holds do not time out */
	Decimal		money_value;	/* of one point as tender; 0: none */
	Decimal		tender_share;	/* percent */
	Decimal		tender_multiple;	/* 0: any number of points */
	bool		stored_value;	/* money */
} PointsType;

typedef enum AwardKind
{
	AWARD_FIXED,
	AWARD_PER_AMOUNT,
	AWARD_PER_UNIT,
	AWARD_MULTIPLIER,
	AWARD_BRACKETS
} AwardKind;

/* An exact number; the denominator is positive. */
typedef struct Rational
{
	int128		numerator;
	int128		denominator;
} Rational;

/* Minor units of points for each so much. */
typedef struct Rate
{
	Rational	each;
	Decimal		per;			/* 0: the points are given once */
	Rational	for_one;		/* each / per */
} Rate;

/* bracket.c: awards that depend on how much was bought */
typedef struct Step
{
	Decimal		from;
	Decimal		points;
	Decimal		per;			/* 0: the points are given once */
	Rate		rate;
} Step;

typedef struct Brackets
{
	bool		marginal;
	int			nsteps;
	Step	   *steps;
} Brackets;

extern bool ParseBrackets(Jsonb *jsonb, Brackets *brackets);

typedef enum LimitPeriod
{
	PERIOD_EVER,
	PERIOD_DAY,
	PERIOD_WEEK,
	PERIOD_MONTH,
	PERIOD_YEAR
} LimitPeriod;

typedef struct Rule
{
	char	   *code;
	text	   *code_text;
	TimestampTz valid_from;
	TimestampTz valid_to;		/* inclusive */
	const PointsType *type;
	bool		line_scope;
	bool		uses_line;		/* the condition looks at lines */
	bool		undecided;		/* the index does not judge all of it */
	Condition  *condition;		/* NULL: always true */

	AwardKind	award;
	Decimal		points;
	Decimal		per;
	Rate		rate;			/* of points and per */
	Rounding	rounding;
	bool		whole_multiples;
	Brackets	brackets;
	int64		max_points;		/* for one sale; PG_INT64_MAX: no cap, and so below */
	int64		member_limit;	/* for a member in a period */
	LimitPeriod limit_period;
	int64		budget;			/* for all members */

	int			stack_group;	/* 0 .. ngroups - 1, or -1 */
	bool		stackable;
	Interval   *pending;		/* NULL: at once */
	const Expiry *expiry;
	int			lot;			/* the same for the same type, pending and expiry: 0 .. nlots - 1 */
} Rule;

/* What some rule of a points type does. */
typedef struct TypeUse
{
	bool		multiplied;
	bool		displaces[2];	/* or may be displaced, among base rules and among multipliers */
} TypeUse;

typedef struct RuleSet
{
	MemoryContext context;
	Rule	   *rules;			/* base rules, then multipliers, each in order of evaluation */
	int			nrules;
	PointsType *types;
	int			ntypes;
	TypeUse    *uses_type;
	int			ngroups;
	int			nlots;
	const Rule **lot_rules;		/* a rule of each */
	bool		limited;		/* some rule has a member_limit or budget */
	bool		uses[ATTRIBUTE_COUNT];	/* some rule looks at the attribute */
	struct ConditionIndex *index;	/* over the rules, with their validity */
} RuleSet;

/* Valid until the end of the transaction, whatever happens to the rules meanwhile. */
extern const RuleSet *GetRuleSet(void);
extern const PointsType *FindPointsType(const RuleSet *set, const char *name);
/* Found in two sets, the same points type lies at two places. */
static inline bool
SameType(const PointsType *a, const PointsType *b)
{
	return a == b || strcmp(a->name, b->name) == 0;
}
/* As people write them, for messages. */
extern char *PointsText(int64 points, const PointsType *type);
/* A set from an array of objects like rows of points_rule, in a context below the current one. */
extern const RuleSet *DraftRuleSet(Jsonb *rules);

/* award.c; paid and units: of the lines a rule works on */
extern void PrepareAward(Rule *rule);
extern int64 BasePoints(const Rule *rule, Decimal paid, Decimal units);

/* limit.c: what limited rules have given */
typedef struct RuleUse RuleUse;

/*
 * NULL where no rule is limited, which all of these understand.  from_zero: as
 * if nothing had been given yet; read_only: as the calling statement sees it.
 */
extern RuleUse *BeginRuleUse(const RuleSet *set, bool from_zero, bool read_only);
/* As before this sale, which is in the books. */
extern void ForgetSale(RuleUse *use, const Sale *sale);
extern int64 RuleAllowance(RuleUse *use, const Rule *rule, const Sale *sale, const char **cap);
extern void NoteRuleUse(RuleUse *use, const Rule *rule, const Sale *sale, int64 points);
/* false: somebody else used up a limit meanwhile, nothing is recorded, evaluate again */
extern bool PostRuleUse(RuleUse *use);

/* evaluate.c: what a sale earns */
typedef struct Grant
{
	const Rule *rule;
	int			line;			/* index into the sale's lines, -1: the sale */
	int64		points;
} Grant;

/* Points of one type that become available and expire together: one entry, one lot. */
typedef struct Award
{
	const PointsType *type;
	TimestampTz available_at;
	TimestampTz expires_at;
	int64		points;
	int64	   *line_points;	/* one a line, summing to points */
	List	   *grants;			/* of Grant */
} Award;

typedef enum Verdict
{
	VERDICT_MATCHED,
	VERDICT_UNMATCHED,
	VERDICT_NOT_VALID,			/* at the time of the sale */
	VERDICT_DISPLACED,
	VERDICT_CAPPED
} Verdict;

typedef struct Explanation
{
	const Rule *rule;
	int			line;
	Verdict		verdict;
	char	   *clause;			/* what failed or capped it, and what it saw; NULL: nothing did */
	char	   *saw;
	const Rule *displaced_by;
	int64		points;			/* given */
	int64		would;			/* given but for displacement, cap, validity, and what member and sale are */
} Explanation;

/* List of Award.  Where explain is not NULL, appends an Explanation for every rule and unit. */
extern List *EvaluateSale(const RuleSet *set, const Sale *sale, RuleUse *use, List **explain);
/* The same without line_points, for who does not look at them. */
extern List *EvaluateTotals(const RuleSet *set, const Sale *sale, RuleUse *use);

/*
 * The ledger.  An act by hand carries a reference; repeated with the same
 * content it returns the first result.
 */
typedef struct Act
{
	const char *kind;			/* points_entry.kind */
	int64		member_id;
	const PointsType *type;
	int64		points;			/* positive */
	TimestampTz at;
	TimestampTz earned_at;		/* of what is granted */
	TimestampTz available_at;
	TimestampTz expires_at;		/* or of a hold */
	const char *reason;
	const char *ref;
	const char *actor;
	int64		sale_id;		/* 0: none, and so below */
	int64		of_entry;
	int64		other_member;
} Act;

/* act.c; balance of the account after the act */
extern int64 PostAward(const Act *act);
extern int64 PostSpend(Act *act);
/* Take points whether or not they are there; the points type says what is done about the rest. */
extern int64 PostDeduction(Act *act);

/* entry.c: the points type of the entry that carries a reference; RM303 where none does */
extern const PointsType *EntryType(int64 member_id, const char *ref);

/* balance.c */
/*
 * What SpendableBalance would say, without a statement and as the calling one sees
 * it, where that tells: the member need not have been looked at.
 */
extern bool StoredBalance(int64 member_id, const PointsType *type, TimestampTz as_of,
						  TimestampTz known_at, int64 *balance);
/*
 * What can be spent at a moment, as known at another.  read_only: as the calling
 * statement sees it; else with what this transaction did since.
 */
extern int64 SpendableBalance(int64 member_id, const PointsType *type, TimestampTz as_of,
							  TimestampTz known_at, bool read_only);
/* What an act of that moment can draw on, of what is left now; negative: owed. */
extern int64 DrawableBalance(int64 member_id, const PointsType *type, TimestampTz at, bool read_only);

/* hold.c; points 0 in a release or capture: all that is held.  ref: of the hold */
extern int64 PostHold(Act *act);
extern int64 PostRelease(Act *act, const char *ref);
extern int64 PostCapture(Act *act, const char *ref, bool release_rest);

/* transfer.c; balance of the account given from */
extern int64 PostTransfer(Act *act, int64 to_member);
extern int64 PostConversion(Act *act, const PointsType *to_type);

/* points.c: error 22023 where what is to be given expires before it is available. */
extern void CheckExpiry(const Act *act);

/* reverse.c */
/*
 * Take back what an act or a line of a sale was granted, or give back what was
 * spent; points 0: all that is left.
 */
extern int64 PostReversal(const Act *act, const char *ref, int line_no);

/* accrue.c: what sales earned, into the ledger and out of it again */
typedef struct EarnedSale
{
	Sale	   *sale;
	List	   *awards;			/* from EvaluateSale */
	struct TierChange *climb;	/* the tier it reached; NULL: none */
} EarnedSale;

/*
 * limit.c: what sales took of members' limits, also with whom they are booked
 * where he is merged into the buyer: so that he has used it should that be undone.
 */
extern void AttributeUse(const EarnedSale *sales, int n);

extern void PostAwards(const RuleSet *set, const EarnedSale *sales, int n);
/* List of Award whose rules know only their code */
extern List *LoadAwards(const Sale *sale);

/* points.c: arguments of functions that move points or stored value */
/* Positive, and not absurd. */
extern int64 PointsArgument(FunctionCallInfo fcinfo, int n, const PointsType *type);
/* When it happened: a moment, now by default. */
extern TimestampTz ActMoment(FunctionCallInfo fcinfo, int n);

/* points.c: while erase_member() takes a person's words out of journals */
extern bool redacting_journals;

#endif
