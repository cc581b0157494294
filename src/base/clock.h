/* clock.h - seconds for measuring spans of time. */
#ifndef LOOM_BASE_CLOCK_H
#define LOOM_BASE_CLOCK_H

/* Seconds of a clock that only goes forward; its zero means nothing. */
double loom_clock(void);

/* Seconds that all threads of this process have run. */
double loom_clock_processor(void);
/* ... and that the calling thread has. */
double loom_clock_thread(void);

#endif
