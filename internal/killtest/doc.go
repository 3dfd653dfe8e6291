// Package killtest holds the tests that take Atoll's promises at their word:
// they put clients to work, end the process or the power under them at any
// moment, and compare what is there afterwards with what the clients were told
// and what they saw. They run the command as it is shipped where they can, and
// the same rooms on a simulated disk where a real one cannot be made to fail.
//
// What is compared, after every end:
//
//   - what was acknowledged is there, whole and as it was written;
//   - what several documents were given in one commit is in all of them or in
//     none;
//   - an increment that was sent again under its request id counts once;
//   - what a reader once saw is not taken back;
//   - nothing is there that nobody wrote.
//
// How long the tests take is set by two environment variables: ATOLL_KILLS is
// how often TestKill kills the process (3), and ATOLL_LONG=1 runs the others at
// full length.
package killtest
