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

/* sales */
#define ERRCODE_CRM_UNKNOWN_SALE		 CRM_STATE('2', '0', '1')
#define ERRCODE_CRM_SALE_SETTLED		 CRM_STATE('2', '0', '2')	/* settled already, takes no more lines */

/* points */
#define ERRCODE_CRM_INSUFFICIENT_POINTS	 CRM_STATE('3', '0', '1')
#define ERRCODE_CRM_UNKNOWN_POINTS_TYPE	 CRM_STATE('3', '0', '2')

/* RFM and jobs */
#define ERRCODE_CRM_UNKNOWN_MODEL		 CRM_STATE('5', '0', '1')
#define ERRCODE_CRM_RUN_IN_PROGRESS		 CRM_STATE('5', '0', '2')
#define ERRCODE_CRM_UNKNOWN_FILTER		 CRM_STATE('5', '0', '3')

/* matching and merging */
#define ERRCODE_CRM_UNKNOWN_MATCH_MODEL	 CRM_STATE('6', '0', '1')

#endif
