/*
 * ledger.h: posting, for those who post.
 *
 * Everything here runs between SPI_connect and SPI_finish.
 */
#ifndef CRM_LEDGER_H
#define CRM_LEDGER_H

#include "points/points.h"

#include "utils/snapshot.h"

typedef struct Account
{
	int64		balance;
	int64		entry_no;		/* of the last entry */
	int64		debt;
	TimestampTz expired_to;		/* lots that expired until here are booked as expired */
	TimestampTz hold_expires_at;	/* until here no hold times out */
	bool		closed;			/* the member is merged: what comes in goes on to the survivor */
} Account;

/* Draws on lots; negative points went back.  Lot 0 is the debt. */
#define DEBT_LOT INT64CONST(0)

typedef struct LotUse
{
	int			n;
	int64	   *lot_nos;
	int64	   *points;
	ItemPointerData *places;	/* where the lots lie, invalid where that is not known; or NULL */
} LotUse;

/* An entry about to be written: what an act does to an account. */
typedef struct Entry
{
	const char *kind;
	int64		points;			/* change of the balance */
	TimestampTz at;
	const char *ref;			/* NULL: none */
	const char *reason;
	const char *actor;
	const LotUse *use;			/* NULL: none */
	bool		lots_stay;		/* the lots are not touched: another entry undoes the use */
	bool		refills;		/* the use puts points back */
	TimestampTz soonest;		/* when the first of the lots refilled expires */
	int64		granted;		/* into a lot of the entry's own */
	TimestampTz earned_at;
	TimestampTz available_at;
	TimestampTz expires_at;
	int64		sale_id;		/* 0: none, and so below */
	int64		of_entry;
	int64		other_member;
	int64		shortfall;
	int64		cleared;		/* of shortfall */
	int			nlines;
	const int  *line_nos;
	const int64 *line_points;
} Entry;

/* An entry read back. */
typedef struct PastEntry
{
	int64		member_id;
	const PointsType *type;
	int64		entry_no;
	char	   *kind;
	int64		points;
	int64		balance;
	TimestampTz at;
	int64		sale_id;
	int64		of_entry;
	int64		shortfall;
	int			nlines;
	int		   *line_nos;
	int64	   *line_points;
	LotUse		use;
} PastEntry;

/* ledger.c */

extern struct CrmTable account_table;
enum
{
	ACCOUNT_MEMBER_ID,
	ACCOUNT_POINTS_TYPE,
	ACCOUNT_BALANCE,
	ACCOUNT_ENTRY_NO,
	ACCOUNT_SETTLES_AT,
	ACCOUNT_EXPIRES_AT,
	ACCOUNT_DEBT,
	ACCOUNT_EXPIRED_TO,
	ACCOUNT_HOLD_EXPIRES_AT,
	ACCOUNT_CLOSED,
	ACCOUNT_COLUMNS
};
/* What can be spent at a moment from now on, where the account is open and no hold timed out. */
extern bool ProbeBalance(int64 member_id, const PointsType *type, TimestampTz at, bool read_only,
						 int64 *balance);
/*
 * Take points from an account that has them, and on which no hold timed out; sets
 * balance, entry_no, debt and expired_to.  false: it has not, or somebody else is at it;
 * nothing was done, and a statement tells.
 */
extern bool TakeFromRow(int64 member_id, const PointsType *type, int64 points, TimestampTz at,
						Account *account);

/*
 * Add n entries with points together to the account, which is made where it is
 * missing, and lock it until the end of the transaction.
 */
extern Account AddToAccount(int64 member_id, const PointsType *type, int64 points, int n,
							TimestampTz available_at, TimestampTz expires_at);
/* Lock the account; false: there is none. */
extern bool LockAccount(int64 member_id, const PointsType *type, Account *account);
/*
 * Lock accounts of a member for several PointsTypes, made where they are missing,
 * in the order that everybody keeps who locks more than one: by the types' names.
 */
extern void LockAccounts(int64 member_id, List *types);
extern void InsertLot(int64 member_id, const PointsType *type, int64 lot_no, int64 points,
					  TimestampTz earned_at, TimestampTz available_at, TimestampTz expires_at);
/* Account, entry and lots in one; the account is as after it. */
extern void Book(int64 member_id, const PointsType *type, const Entry *entry, Account *account);
/* The entry alone; false where its reference is there already. */
extern bool InsertEntry(int64 member_id, const PointsType *type, const Entry *entry, int64 entry_no,
						int64 balance);
extern void DrawOnLots(int64 member_id, const PointsType *type, const LotUse *use);
/* Book points of lots that expired; negative where they are not there any more. */
extern void BookExpired(int64 member_id, const PointsType *type, int64 points, TimestampTz at,
						Account *account);
/*
 * After lots of an account were filled: pay its debt from them, and book as
 * expired the part of it (swept) that went into lots booked as expired.
 */
extern void SettleCredit(int64 member_id, const PointsType *type, int64 swept, TimestampTz at);

/* lot.c */
typedef struct LotScan LotScan;
typedef struct OpenLot
{
	int64		lot_no;
	int64		remaining;
	TimestampTz available_at;
	ItemPointerData place;
} OpenLot;

/*
 * Open lots in the order they are spent in: those of an account (ScanLots, again
 * and again) that expire after some moment.  The index knows of rows that are not
 * there any more, for which FetchLot is false; with_expiry lets NextLot tell when
 * a row, there or not, expires.  snapshot NULL: as a statement begun now sees them.
 */
extern LotScan *OpenLotScan(Snapshot snapshot, bool with_expiry);
extern void ScanLots(LotScan *scan, int64 member_id, const PointsType *type, TimestampTz after);
extern bool NextLot(LotScan *scan, TimestampTz *expires_at);
extern bool FetchLot(LotScan *scan, OpenLot *lot);
extern void CloseLotScan(LotScan *scan);
/* What lots have that can be spent at that time. */
extern int64 SpendableLots(Snapshot snapshot, int64 member_id, const PointsType *type, TimestampTz at);
/* What lots have that expired after some moment, until another. */
extern int64 ExpiredLots(Snapshot snapshot, int64 member_id, const PointsType *type,
						 TimestampTz after, TimestampTz at);

/*
 * sweep.c: what expired after some moment until another, of many accounts: best in
 * the order of the index.  SweepAccount tells when the first of the rest expires;
 * EndSweep adds up what the lots have, with the numbers that accounts were given.
 */
typedef struct Sweep Sweep;
extern Sweep *BeginSweep(void);
extern TimestampTz SweepAccount(Sweep *sweep, int account, int64 member_id, const PointsType *type,
								TimestampTz after, TimestampTz until);
extern void EndSweep(Sweep *sweep, void (*add) (void *accounts, int account, int64 points), void *accounts);

extern void AddUse(LotUse *use, int64 lot_no, int64 points);
/*
 * Lots to draw on for so many points, under the account's lock: those that can
 * be spent at that time, the soonest to expire first; then, where asked, pending
 * ones.  Returns what they have, at most points.
 */
extern int64 ChooseLots(int64 member_id, const PointsType *type, const Account *account, int64 points,
						TimestampTz at, bool pending, LotUse *use);
/* Points from .. to of a sequence of draws, as draws of sign. */
extern void SliceUse(const LotUse *use, int64 from, int64 to, int sign, LotUse *slice);
typedef struct Lot
{
	int64		remaining;
	TimestampTz earned_at;
	TimestampTz expires_at;
	bool		foreign;		/* another member's, unless merged with it */
} Lot;
extern Lot	LoadLot(int64 member_id, const PointsType *type, int64 lot_no);

/* Points that go back (use is negative) into lots booked as expired; and when the first other expires. */
extern int64 SweptPart(int64 member_id, const PointsType *type, const Account *account,
					   const LotUse *use, TimestampTz *soonest);

/*
 * merged.c: a merged member's account keeps its journal, and what is undone in it
 * is booked there; but it has no points, which are the survivor's.
 */
/* Bring what is in the account, which is locked, to whose it is; the balance of the survivor. */
extern int64 ForwardPoints(int64 member_id, const PointsType *type, TimestampTz at);
/*
 * The same after an entry, where the account is closed or lots that were
 * refilled (use, may be NULL) are another's; the balance to answer with.
 */
extern int64 Forwarded(int64 member_id, const PointsType *type, const Account *account,
					   const LotUse *use, TimestampTz at);
/* Bring so many points into it, first those of a lot of its own. */
extern void FetchPoints(int64 member_id, const PointsType *type, int64 lot_no, int64 points,
						TimestampTz at);
/* The account was closed while we waited for it: go on with the survivor's. */
extern bool FollowMerge(int64 *member_id, const PointsType *type);
/* Was it ever merged with another? */
extern bool HasKin(int64 member_id);
/* Members merged into this one, in order. */
extern int64 *MergedMembers(int64 member_id, int *n);

/* entry.c */
/* An entry of the member, or else of those merged with it. */
extern PastEntry *FindEntry(int64 member_id, const char *ref);
/* List of PastEntry, in order */
extern List *LoadEntriesOf(int64 member_id, const PointsType *type, int64 of_entry);
extern List *LoadSaleEntries(int64 member_id, int64 sale_id);
/* Was this act done before?  Then its balance; RM001 where the reference was used for another. */
extern bool FindAct(const Act *act, int64 points, int64 *balance);
extern void ReferenceReused(const char *ref);

/* activity.c; both do nothing where the points type does not expire by inactivity */
/* An entry of a kind was made at that time, under the account's lock: if it is activity, lots last. */
extern void KeepAlive(int64 member_id, const PointsType *type, const char *kind, TimestampTz at);
/* Points are about to come back to these lots: those that are empty did not hear of it. */
extern void ReviveLots(int64 member_id, const PointsType *type, const LotUse *use);

/* act.c */
/* Grant a lot, or take from lots; they return the first result where act->ref is there already. */
extern int64 GrantLot(const Act *act);
extern Account TakePoints(Act *act, LotUse *use, bool *done);

/* Take points; what is missing is for the deficit policy.  Balance after it. */
extern int64 Deduct(const Act *act);
extern void Insufficient(const Act *act, int64 available);

/* hold.c */
/* Book as released what timed out until then; false: there is no account. */
extern bool ReleaseTimedOut(int64 member_id, const PointsType *type, TimestampTz at);
/*
 * Before points come in: what holds that had timed out by then give back pays a
 * debt first, as it does where the release was booked in time.
 */
extern bool DebtAwaitsHolds(const Account *account, TimestampTz at);
/* AddToAccount() once more, of what was added before that: after the release, under the lock still held. */
extern Account AddAfterHolds(int64 member_id, const PointsType *type, int64 points, int n,
							 TimestampTz available_at, TimestampTz expires_at, TimestampTz at);
/* Lock the account, with that done; false: there is none. */
extern bool LockForCredit(int64 member_id, const PointsType *type, TimestampTz at, Account *account);

/* reverse.c */
/* For each line of an entry (or, without lines, as a whole) what was taken back of it so far. */
extern int64 *TakenBack(const PastEntry *entry);
/*
 * Take back so much of each line of what an entry granted; without lines, the
 * first.  Adds to *shortfall what was not there, nor cleared, and is no debt either.
 */
extern int64 TakeBack(const Act *act, const PastEntry *entry, const int64 *points, int64 *shortfall);
/* What is missing when points are taken back becomes debt or shortfall of the entry, or is refused. */
extern void CoverDeficit(const PointsType *type, int64 points, LotUse *use, Entry *entry);
extern int64 GivenBack(const PastEntry *entry);
/* Give back points that an entry spent; returns the balance after. */
extern int64 GiveBack(const Act *act, const PastEntry *entry, int64 points);

/* Values of statements. */
extern Datum PointsDatum(int64 points, const PointsType *type);
extern int64 PointsColumn(uint64 row, int column, const PointsType *type);
extern Datum PlainArray(const Datum *elements, int n, Oid type);
extern Datum NumericArray(const int64 *points, int n, const PointsType *type);

#endif
