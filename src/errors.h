/*
 * errors.h: the extension's own SQLSTATEs.
 *
 * Class RM holds refusals that are part of the business: an ERP branches on
 * them, so a code is never reused or renumbered.  Everything else uses the
 * standard code that fits: 22023 for a malformed document, 22003 for a number
 * out of range, 22P02 for bad text of a type, 0A000 for what is not available,
 * 55000 where setup() has not run.  The table in README.md lists them all.
 */
#ifndef CRM_ERRORS_H
#define CRM_ERRORS_H

#include "utils/elog.h"

#define CRM_STATE(d1, d2, d3) MAKE_SQLSTATE('R', 'M', d1, d2, d3)

/* general */
#define ERRCODE_CRM_REFERENCE_REUSED	 CRM_STATE('0', '0', '1')	/* same reference, other content */

#define ERRCODE_CRM_APPEND_ONLY			 CRM_STATE('0', '0', '2')	/* journals are not changed */

/* members, identities, cards */
#define ERRCODE_CRM_UNKNOWN_MEMBER		 CRM_STATE('1', '0', '1')
#define ERRCODE_CRM_MEMBER_STATUS		 CRM_STATE('1', '0', '2')	/* status forbids the act */
#define ERRCODE_CRM_IDENTITY_TAKEN		 CRM_STATE('1', '0', '3')
#define ERRCODE_CRM_UNKNOWN_CARD		 CRM_STATE('1', '0', '4')
#define ERRCODE_CRM_CARD_STATE			 CRM_STATE('1', '0', '5')	/* state forbids the act */
#define ERRCODE_CRM_LIKELY_KNOWN		 CRM_STATE('1', '0', '9')	/* somebody likely is that person */

/* tiers */
#define ERRCODE_CRM_UNKNOWN_TIER		 CRM_STATE('1', '0', '6')
#define ERRCODE_CRM_NO_MANUAL_TIER		 CRM_STATE('1', '0', '7')	/* no level given by hand */
#define ERRCODE_CRM_REFERRAL			 CRM_STATE('1', '0', '8')	/* cannot be brought like this */

/* sales */
#define ERRCODE_CRM_UNKNOWN_SALE		 CRM_STATE('2', '0', '1')
#define ERRCODE_CRM_SALE_SETTLED		 CRM_STATE('2', '0', '2')	/* settled already, takes no more lines */
#define ERRCODE_CRM_REFUND_EXCEEDS		 CRM_STATE('2', '0', '3')	/* more than was sold and not refunded yet */
#define ERRCODE_CRM_SALE_UNSETTLED		 CRM_STATE('2', '0', '4')	/* not settled yet */

/* points */
#define ERRCODE_CRM_INSUFFICIENT_POINTS	 CRM_STATE('3', '0', '1')
#define ERRCODE_CRM_UNKNOWN_POINTS_TYPE	 CRM_STATE('3', '0', '2')
#define ERRCODE_CRM_UNKNOWN_ENTRY		 CRM_STATE('3', '0', '3')	/* no hold, no entry with this reference */
#define ERRCODE_CRM_HOLD_CLOSED			 CRM_STATE('3', '0', '4')	/* holds less than asked, or timed out */
#define ERRCODE_CRM_POINTS_DEFICIT		 CRM_STATE('3', '0', '5')	/* taken back would be more than there is */
#define ERRCODE_CRM_NOT_REVERSIBLE		 CRM_STATE('3', '0', '6')	/* of another kind, or less is left */
#define ERRCODE_CRM_NO_CONVERSION		 CRM_STATE('3', '0', '7')
#define ERRCODE_CRM_POINTS_TENDER		 CRM_STATE('3', '0', '8')	/* a sale cannot be paid like this */

/* coupons */
#define ERRCODE_CRM_UNKNOWN_COUPON		 CRM_STATE('4', '0', '1')
#define ERRCODE_CRM_COUPON_USED			 CRM_STATE('4', '0', '2')	/* no use of the code is left */
#define ERRCODE_CRM_COUPON_VOID			 CRM_STATE('4', '0', '3')
#define ERRCODE_CRM_COUPON_HELD			 CRM_STATE('4', '0', '4')	/* for another cart, or for none */
#define ERRCODE_CRM_COUPON_TOO_EARLY	 CRM_STATE('4', '0', '5')	/* not yet valid */
#define ERRCODE_CRM_COUPON_EXPIRED		 CRM_STATE('4', '0', '6')
#define ERRCODE_CRM_COUPON_OWNER		 CRM_STATE('4', '0', '7')	/* another member's, or for members */
#define ERRCODE_CRM_COUPON_REQUIRES		 CRM_STATE('4', '0', '8')	/* what it requires does not hold */
#define ERRCODE_CRM_COUPON_LINES		 CRM_STATE('4', '0', '9')	/* good for no line of the sale */
#define ERRCODE_CRM_UNKNOWN_TEMPLATE	 CRM_STATE('4', '1', '0')
#define ERRCODE_CRM_TEMPLATE_INACTIVE	 CRM_STATE('4', '1', '1')
#define ERRCODE_CRM_COUPON_MIN_SPEND	 CRM_STATE('4', '1', '2')
#define ERRCODE_CRM_COUPON_MIN_QUANTITY	 CRM_STATE('4', '1', '3')
#define ERRCODE_CRM_COUPON_LIMIT		 CRM_STATE('4', '1', '4')	/* total limit reached */
#define ERRCODE_CRM_COUPON_MEMBER_LIMIT	 CRM_STATE('4', '1', '5')
#define ERRCODE_CRM_COUPON_BUDGET		 CRM_STATE('4', '1', '6')	/* budget used up */
#define ERRCODE_CRM_COUPON_DISPLACED	 CRM_STATE('4', '1', '7')	/* does not go with what was applied */
#define ERRCODE_CRM_COUPON_NOTHING		 CRM_STATE('4', '1', '8')	/* would take nothing off */
#define ERRCODE_CRM_COUPON_EXISTS		 CRM_STATE('4', '1', '9')	/* imported before */

/* stored value */
#define ERRCODE_CRM_INSUFFICIENT_VALUE	 CRM_STATE('7', '0', '1')
#define ERRCODE_CRM_UNKNOWN_VALUE_ACT	 CRM_STATE('7', '0', '2')	/* nothing has this reference */
#define ERRCODE_CRM_VALUE_EXCEEDS		 CRM_STATE('7', '0', '3')	/* more than is left to give back or capture */
#define ERRCODE_CRM_VALUE_BOUND			 CRM_STATE('7', '0', '4')	/* owes or holds something: not closed */
#define ERRCODE_CRM_VALUE_TIMED_OUT		 CRM_STATE('7', '0', '5')	/* authorisation binds no longer */
#define ERRCODE_CRM_VALUE_TENDER		 CRM_STATE('7', '0', '6')	/* a sale cannot be paid like this */

/* RFM and jobs */
#define ERRCODE_CRM_UNKNOWN_MODEL		 CRM_STATE('5', '0', '1')
#define ERRCODE_CRM_RUN_IN_PROGRESS		 CRM_STATE('5', '0', '2')
#define ERRCODE_CRM_UNKNOWN_FILTER		 CRM_STATE('5', '0', '3')
#define ERRCODE_CRM_UNKNOWN_JOB			 CRM_STATE('5', '0', '4')
#define ERRCODE_CRM_JOB_RUNNING			 CRM_STATE('5', '0', '5')

/* matching and merging */
#define ERRCODE_CRM_UNKNOWN_MATCH_MODEL	 CRM_STATE('6', '0', '1')
/* merging */
#define ERRCODE_CRM_UNKNOWN_MERGE		 CRM_STATE('6', '1', '0')
#define ERRCODE_CRM_DISTINCT_MEMBERS	 CRM_STATE('6', '1', '1')	/* somebody decided that they are not one */
#define ERRCODE_CRM_MERGE_TOTALS		 CRM_STATE('6', '1', '2')	/* the members would have more or less than before */
#define ERRCODE_CRM_NEGATIVE_MEMBER		 CRM_STATE('6', '1', '3')	/* a member would come back below zero */
#define ERRCODE_CRM_MERGE_KINDS			 CRM_STATE('6', '1', '4')	/* a consumer and a dealer */
#define ERRCODE_CRM_MERGE_CONFLICT		 CRM_STATE('6', '1', '5')	/* what one of them has stands against it */

#endif
