/*
 * tier.h: tiers, what reaches them, and who holds them.
 */
#ifndef CRM_TIER_H
#define CRM_TIER_H

#include "points/points.h"

typedef enum TierMeasure
{
	MEASURE_SPEND,				/* money paid */
	MEASURE_SALES,				/* number of them */
	MEASURE_POINTS				/* granted of one type */
} TierMeasure;

typedef enum TierCalendar
{
	CALENDAR_NONE,
	CALENDAR_MONTH,
	CALENDAR_QUARTER,
	CALENDAR_YEAR
} TierCalendar;

/* What is measured: sums of it are minor units. */
typedef struct TierSeries
{
	TierMeasure measure;
	char	   *points_type;	/* NULL unless MEASURE_POINTS */
	int			decimals;
} TierSeries;

typedef struct TierRule
{
	int			way;			/* rules of one way must all hold, any way will do */
	int			part;
	int			series;
	Interval   *within;			/* NULL: as the calendar says, or ever */
	TierCalendar calendar;
	int64		threshold;
} TierRule;

typedef struct Tier
{
	char	   *code;
	char	   *name;
	int			rank;
	Expiry		validity;
	int			grace_days;
	bool		at_once;		/* the sale that reaches it earns by it */
	bool		undo_at_once;	/* a return may undo it, before any review */
	TierRule   *rules;			/* by way */
	int			nrules;
} Tier;

typedef struct TierSet
{
	MemoryContext context;
	Tier	   *tiers;			/* by rank */
	int			ntiers;
	TierSeries *series;
	int			nseries;
	int			top_rank;		/* of a tier with rules; -1: there is none */
	bool		any_undo;		/* some tier is undone at once */
} TierSet;

/* tier.c; valid until the end of the transaction, whatever happens to the tiers meanwhile */
extern const TierSet *GetTierSet(void);
/* NULL for NULL and for a tier that is not there */
extern const Tier *FindTier(const TierSet *set, const char *code);
/* First moment that counts for a rule as of another. */
extern TimestampTz WindowStart(const TierRule *rule, TimestampTz at);

/* What a member holds. */
typedef struct Holding
{
	const Tier *held;
	TimestampTz since;
	const Tier *earned;			/* by the rules; held, but for a manual level */
	TimestampTz period_from;
	TimestampTz period_to;		/* the period of the earned tier ends before */
	const Tier *manual;
	TimestampTz manual_until;
	bool		at_least;		/* the manual level is a floor only */
} Holding;

/* A change of it, to be written. */
typedef struct TierChange
{
	int64		member_id;
	const char *cause;			/* member_tier_event.cause */
	TimestampTz at;
	const Tier *held_before;
	const Tier *earned_before;
	Holding		after;
	int			way;			/* 0: none */
	int64		sale_id;		/* 0: none */
	const char *actor;
} TierChange;

typedef struct Activity
{
	TimestampTz at;
	TimestampTz counts_from;	/* pending points count when they are released */
	int64		value;
} Activity;

typedef struct ActivityList
{
	Activity   *items;
	int			n;
	int			max;
} ActivityList;

/* A member with all that counts towards tiers. */
typedef struct Standing
{
	MemoryContext context;
	const TierSet *set;
	int64		member_id;
	char	   *status;
	bool		has_alias;		/* other members were merged into this one */
	Holding		holding;
	ActivityList *series;		/* as set->series */
	TimestampTz latest;			/* activity known */
	/* where they differ: what sales of the time between them earned does not count, nor what was taken back since */
	TimestampTz replayed_from;
	TimestampTz replayed_to;
} Standing;

/* standing.c; SPI: to be called between SPI_connect and SPI_finish */
/* NULL where there is no such member, or it was merged.  SPI. */
extern Standing *LoadStanding(int64 member_id, bool lock, MemoryContext context);
/* What happened since then, as far as tiers above rank are about it.  SPI. */
extern void LoadActivity(Standing *standing, TimestampTz since, int above_rank);
extern void AddActivity(Standing *standing, int series, TimestampTz at, TimestampTz counts_from,
						int64 value);
/* Earliest moment that counts for tiers above rank as of another. */
extern TimestampTz EarliestStart(const TierSet *set, TimestampTz at, int above_rank);
extern int64 Reached(const Standing *standing, const TierRule *rule, TimestampTz anchor,
					 TimestampTz to);
/*
 * The best tier above rank that is justified by windows that end at anchor,
 * counting what happened until to.  NULL: none.
 */
extern const Tier *JustifiedTier(const Standing *standing, TimestampTz anchor, TimestampTz to,
								 int above_rank, int *way);
extern int	TierRank(const Tier *tier);

/* holding.c */
/* Give an earned tier (NULL: none) for a period. */
extern void SetEarned(Holding *holding, const Tier *tier, TimestampTz at, TimestampTz period_to);
/* The manual level has lapsed. */
extern void EndManual(Holding *holding);
/* When the period after one that ended then ends. */
extern TimestampTz NextPeriodEnd(const Tier *tier, TimestampTz end);
extern TierChange *NewChange(const Standing *standing, const char *cause, TimestampTz at);
/* Write changes, those of one member one after the other.  SPI. */
extern void PostTierChanges(List *changes);

/* climb.c: sales raise tiers */
/*
 * Look at a buyer, who is locked unless it is for a quote.  NULL where there is
 * nothing he could reach by sales from then on.
 */
extern Standing *BeginClimb(const Member *member, TimestampTz from, bool lock);
/*
 * Count a sale that was evaluated: the member as he is afterwards, for his next
 * sale.  A change is noted in the sale, whose awards may change with it.
 */
extern const Member *ClimbTiers(const RuleSet *set, RuleUse *use, Standing *standing,
								EarnedSale *earned);
extern void PostClimbs(const EarnedSale *sales, int n);
/* Its parts: count what a sale earned; give a tier that it reached. */
extern void CountPoints(Standing *standing, const EarnedSale *earned);
extern const Member *RaiseBuyer(const RuleSet *set, RuleUse *use, Standing *standing,
								EarnedSale *earned, const Tier *tier, int way, TimestampTz at);

/* replay.c: tiers that members would have held, had rules given something else */
typedef struct TierReplay TierReplay;

/* For the sales from a moment to before another, in their order.  NULL: points reach no tier, or no rule asks for tiers.  SPI. */
extern TierReplay *BeginTierReplay(const RuleSet *set, TimestampTz from, TimestampTz to);
/* Before a sale is evaluated: give its buyer the tier he would have held. */
extern void ReplayBuyer(TierReplay *replay, Sale *sale);
/* Does any of it come back later?  Then what its lines earn is to be known. */
extern bool ReplayReturns(TierReplay *replay, const Sale *sale);
/* And after it: count what it earned. */
extern void ReplayClimb(TierReplay *replay, const RuleSet *set, RuleUse *use, EarnedSale *earned);

/* review.c */
/* Judge the periods that ended long enough ago, by what is known of the member. */
extern void ReviewPeriods(Standing *standing, TimestampTz as_of, List **changes);
/*
 * Points are about to be given by hand, or goods to be returned (points_type
 * NULL): lock the member, where that may change the tier, before anything of his
 * is locked.  Afterwards call one of the others.  Nearly free where no tier is
 * about such points, or none is undone at once.
 */
extern void LockForTiers(int64 member_id, const char *points_type);
extern void ReviewAfterPoints(int64 member_id, const char *points_type, TimestampTz at,
							  const char *actor);
extern void ReviewAfterReturn(int64 member_id, int64 sale_id, TimestampTz at, const char *actor);

#endif
