// Package transfer brings documents from files into a database and back: JSON
// Lines, JSON arrays, CSV, and lines of text that a regular expression takes
// apart. It knows no protocol; whoever uses it sends the batches of an import
// and lists the documents of an export.
//
// # What a row becomes
//
// A file is read row by row, in memory that does not grow with it. A row of
// JSON is a document as package plain writes it, or, in a file that was
// exported, an object with the document's path:
//
//	{"path": "cities/lisbon", "document": {"name": "Lisbon"}}
//
// In CSV the first record names the fields; one named $path holds the path. A
// cell that is empty is a field that the document does not have; one that is
// JSON is that value; everything else is a string. A string that would be
// mistaken for something else is written as JSON, so that what was exported is
// imported as the same, bit for bit.
//
// # Once
//
// An import sends batches that follow from the file alone: the same rows form
// the same batches whenever it is read. A batch has a request id, derived from
// the import's run, the file and its rows, so that a batch which is sent again,
// after an error or by a resumed import, is applied once. A Place is what a
// resumed import has to know: the run, and the row up to which everything is
// applied. A document that occurs several times becomes what its last row says.
package transfer
